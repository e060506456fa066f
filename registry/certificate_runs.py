"""The Prefect runs that make certificates: given to a work pool, settled after a death, held when the service stops."""

from __future__ import annotations

import logging
import socket
import time

from sqlalchemy import func, or_, select, update

from afinador.errors import ServiceUnavailableError
from registry import certificates
from registry.flow_processes import flow_lives
from registry.memory import Memory
from registry.prefect_api import LIVE_STATES, Prefect, RunState
from registry.settling import STUCK_AFTER_SECONDS
from registry.tables import Certificate, Job, Organization

FLOW = "verify"
"""Name of the flow; its deployments are ``verify/gpu`` and ``verify/cpu``."""

_END_STATES = {"succeeded": "COMPLETED", "failed": "FAILED"}

logger = logging.getLogger(__name__)


def submit_waiting(memory: Memory) -> int:
    """Give all queued certificates that have no run yet to Prefect, and return how many have one now.

    Nothing is raised while Prefect is away; housekeeping tries again.
    """
    with memory.database.reading() as session:
        waits = (Certificate.status == "queued", Certificate.flow_run_id.is_(None))
        waiting = list(session.scalars(select(Certificate).where(*waits).order_by(Certificate.created_at)))
    try:
        for row in waiting:
            with Prefect(memory.settings) as prefect:
                _submit(memory, prefect, row)
    except ServiceUnavailableError as error:
        logger.warning("Certificates wait: %s", error.message)
        return 0
    return len(waiting)


def _submit(memory: Memory, prefect: Prefect, row: Certificate) -> None:
    with memory.database.reading() as session:
        organization = session.get_one(Organization, row.organization_id).name
        job = session.get_one(Job, row.job_id)
    pool = row.pool or ("gpu" if prefect.workers_online("gpu") else "cpu")
    prefect.make_queue(pool, organization)
    run_id = prefect.create_run(
        f"{FLOW}/{pool}",
        parameters={"certificate_id": row.id},
        name=f"{job.name} · {'exact resume' if row.type == 'resume' else 'reproduction'}",
        tags=[f"organization:{organization}", f"base:{job.base_model}", f"method:{job.tuning_method}"],
        idempotency_key=f"{row.id}:{row.submission}",
        work_queue=organization,
    )
    still_waits = (
        Certificate.id == row.id,
        Certificate.submission == row.submission,
        Certificate.flow_run_id.is_(None),
    )
    with memory.database.session() as session:
        session.execute(
            update(Certificate)
            .where(*still_waits)
            .values(flow_run_id=run_id, flow_run_url=prefect.run_page(run_id), pool=pool)
        )


def settle(memory: Memory, *, since: float | None = None) -> None:
    """Look once at all certificates under way: what has no process is made anew, what was cancelled in Prefect ends.

    A run that a dead process has left behind is closed, so that it holds no slot of its work pool.

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started, in Unix seconds; what was Pending or Running before has no
            process any more.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    with memory.database.reading() as session:
        is_open = or_(Certificate.status == "queued", Certificate.process_id.is_not(None))
        rows = list(session.scalars(select(Certificate).where(is_open, Certificate.flow_run_id.is_not(None))))
    if rows:
        with Prefect(memory.settings) as prefect:
            for row in rows:
                _settle(memory, prefect, row, since or 0.0)


def _settle(memory: Memory, prefect: Prefect, row: Certificate, since: float) -> None:
    if row.process_id is not None and flow_lives(row):
        return
    run_id = row.flow_run_id or ""
    state = prefect.run_state(run_id)
    is_cancelled = state is not None and state.type in ("CANCELLING", "CANCELLED")
    if row.status == "queued" and state is not None and not is_cancelled and _is_on_its_way(state, since):
        return
    if state is not None and state.type in LIVE_STATES:
        type = _END_STATES.get(row.status, "CANCELLED")
        prefect.set_state(run_id, type, type.title(), "The process of the run has gone.")
    with memory.database.session() as session:
        if is_cancelled:
            certificates.finish(session, row.id, "cancelled")
        else:
            certificates.requeue(session, row.id, "The process that made the certificate has ended before it had.")
        gone = update(Certificate).where(Certificate.id == row.id, Certificate.process_id == row.process_id)
        session.execute(gone.values(process_id=None))


def _is_on_its_way(state: RunState, since: float) -> bool:
    """Tell whether a run of a queued certificate is yet to begin."""
    if state.type in ("SCHEDULED", "PAUSED"):
        return True
    is_recent = state.timestamp > max(since, time.time() - STUCK_AFTER_SECONDS)
    return state.type in ("PENDING", "RUNNING") and is_recent


def hold(memory: Memory) -> int:
    """Ask all flows of this host that make certificates to stop; they are made anew later. Returns how many go on."""
    here = (Certificate.status == "running", Certificate.host == socket.gethostname())
    with memory.database.session() as session:
        session.execute(update(Certificate).where(*here).values(request_state="hold"))
        return session.scalar(select(func.count()).select_from(Certificate).where(*here)) or 0
