"""Housekeeping as a flow, for installations without the supervisor of ``afinador up``, which does the same every 2 s."""

from __future__ import annotations

from prefect import flow

from tasks.housekeeping import settle_jobs


@flow(name="housekeeping", persist_result=False)
def settle() -> str:
    """Put right what died or was clicked, and give waiting jobs to Prefect."""
    return settle_jobs()
