"""The stories: each flow a short list of tasks, given an id and nothing else.

Entrypoints are module paths (``flows.fine_tuning.fine_tune``), never file paths. Flows import ``tasks`` and below.
"""
