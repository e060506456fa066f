"""The Prefect runs that prepare data sets: given to a work pool, settled after a death."""

from __future__ import annotations

import logging

from sqlalchemy import select, update

from afinador.errors import ServiceUnavailableError
from registry.creation import preparations
from registry.ledger.tables import File, Organization, Preparation
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import side_runs
from registry.prefect_runs.submissions import POOL

DEPLOYMENT = "prepare-dataset/submission"
QUEUE = "preparation"
SLOTS = 2
"""So many at once; the other places of the pool are for what creates jobs."""

_WORK = side_runs.Work(
    Preparation,
    cancel=lambda session, identity: preparations.finish(session, identity, "cancelled"),
    requeue=preparations.requeue,
)

logger = logging.getLogger(__name__)


def submit_waiting(memory: Memory) -> int:
    """Give all queued preparations that have no run yet to Prefect, and return how many have one now.

    Nothing is raised while Prefect is away; housekeeping tries again.
    """
    with memory.database.reading() as session:
        waits = (Preparation.status == "queued", Preparation.flow_run_id.is_(None))
        waiting = list(session.scalars(select(Preparation).where(*waits).order_by(Preparation.created_at)))
    if not waiting:
        return 0
    try:
        with Prefect(memory.settings) as prefect:
            prefect.make_queue(POOL, QUEUE, concurrency_limit=SLOTS)
            for row in waiting:
                _submit(memory, prefect, row)
    except ServiceUnavailableError as error:
        logger.warning("Preparations wait: %s", error.message)
        return 0
    return len(waiting)


def _submit(memory: Memory, prefect: Prefect, row: Preparation) -> None:
    with memory.database.reading() as session:
        organization = session.get_one(Organization, row.organization_id).name
        filename = session.get_one(File, row.file_id).filename
    run_id = prefect.create_run(
        DEPLOYMENT,
        parameters={"preparation_id": row.id},
        name=f"{filename} · prepare",
        tags=[f"organization:{organization}"],
        idempotency_key=f"{row.id}:{row.submission}",
        work_queue=QUEUE,
    )
    still_waits = (
        Preparation.id == row.id,
        Preparation.submission == row.submission,
        Preparation.flow_run_id.is_(None),
    )
    given = update(Preparation).where(*still_waits).values(flow_run_id=run_id, flow_run_url=prefect.run_page(run_id))
    with memory.database.session() as session:
        session.execute(given)


def settle(memory: Memory, *, since: float | None = None) -> None:
    """Settle the runs that prepare data sets; see ``registry.prefect_runs.side_runs.settle``."""
    side_runs.settle(memory, _WORK, since=since)
