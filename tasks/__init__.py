"""The steps: Prefect tasks, each craft + memory + retries for one step of a story.

A step may be executed again at any time: it asks the ledger whether it is done. Steps import ``registry`` and
``afinador``, never ``flows``, ``api`` or ``deployments``.
"""
