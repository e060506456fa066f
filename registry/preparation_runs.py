"""The Prefect runs that prepare data sets: given to a work pool, settled after a death."""

from __future__ import annotations

import logging
import time

from sqlalchemy import or_, select, update

from afinador.errors import ServiceUnavailableError
from registry import preparations
from registry.flow_processes import flow_lives
from registry.memory import Memory
from registry.prefect_api import LIVE_STATES, Prefect
from registry.settling import STUCK_AFTER_SECONDS
from registry.submissions import POOL
from registry.tables import File, Organization, Preparation

DEPLOYMENT = "prepare-dataset/submission"
QUEUE = "preparation"
SLOTS = 2
"""So many at once; the other places of the pool are for what creates jobs."""

_END_STATES = {"succeeded": "COMPLETED", "failed": "FAILED"}

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
    """Look once at all preparations under way: what has no process is done anew, what was cancelled in Prefect ends.

    A run that a dead process has left behind is closed, so that it holds no place of its work pool.

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started, in Unix seconds; what was Pending or Running before has no
            process any more.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    with memory.database.reading() as session:
        is_open = or_(Preparation.status == "queued", Preparation.process_id.is_not(None))
        rows = list(session.scalars(select(Preparation).where(is_open, Preparation.flow_run_id.is_not(None))))
    if rows:
        with Prefect(memory.settings) as prefect:
            for row in rows:
                _settle(memory, prefect, row, since or 0.0)


def _settle(memory: Memory, prefect: Prefect, row: Preparation, since: float) -> None:
    if row.process_id is not None and flow_lives(row):
        return
    run_id = row.flow_run_id or ""
    state = prefect.run_state(run_id)
    is_cancelled = state is not None and state.type in ("CANCELLING", "CANCELLED")
    if row.status == "queued" and state is not None and not is_cancelled:
        is_recent = state.timestamp > max(since, time.time() - STUCK_AFTER_SECONDS)
        if state.type in ("SCHEDULED", "PAUSED") or (state.type in ("PENDING", "RUNNING") and is_recent):
            return
    if state is not None and state.type in LIVE_STATES:
        type = _END_STATES.get(row.status, "CANCELLED")
        prefect.set_state(run_id, type, type.title(), "The process of the run has gone.")
    with memory.database.session() as session:
        if is_cancelled:
            preparations.finish(session, row.id, "cancelled")
        else:
            preparations.requeue(session, row.id)
        gone = update(Preparation).where(Preparation.id == row.id, Preparation.process_id == row.process_id)
        session.execute(gone.values(process_id=None))
