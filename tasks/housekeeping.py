"""One round of housekeeping."""

from __future__ import annotations

from prefect import task

from afinador.settings import read_settings
from registry.memory import Memory
from registry.prefect_runs import housekeeping


@task(task_run_name="settle jobs", persist_result=False)
def settle_jobs() -> str:
    """Bring ledger and Prefect together again, submit what waits, and say what was done.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    done = {name: part() for name, part in housekeeping.parts(Memory.open(read_settings()))}
    return "Settled; " + ", ".join(f"{count} {name}" for name, count in done.items() if count is not None) + "."
