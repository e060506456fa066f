"""The Prefect runs that make certificates: given to a work pool, settled after a death, held when the service stops."""

from __future__ import annotations

import logging
import socket

from sqlalchemy import func, select, update

from afinador.errors import ServiceUnavailableError
from registry import certificates
from registry.ledger.tables import Certificate, Job, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import side_runs

FLOW = "verify"
"""Name of the flow; its deployments are ``verify/gpu`` and ``verify/cpu``."""

DIED = "The process that made the certificate has ended before it had."
_WORK = side_runs.Work(
    Certificate,
    cancel=lambda session, identity: certificates.finish(session, identity, "cancelled"),
    requeue=lambda session, identity: certificates.requeue(session, identity, DIED),
)

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
    """Settle the runs that make certificates; see ``registry.prefect_runs.side_runs.settle``."""
    side_runs.settle(memory, _WORK, since=since)


def hold(memory: Memory) -> int:
    """Ask all flows of this host that make certificates to stop; they are made anew later. Returns how many go on."""
    here = (Certificate.status == "running", Certificate.host == socket.gethostname())
    with memory.database.session() as session:
        session.execute(update(Certificate).where(*here).values(request_state="hold"))
        return session.scalar(select(func.count()).select_from(Certificate).where(*here)) or 0
