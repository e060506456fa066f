"""Which attempt holds which device of which host."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.tables import Job, Lease

_HOLDING_STATUSES = ("running", "pausing")


def take(session: Session, job: Job, attempt: int, host: str, devices: list[str], count: int = 1) -> list[str] | None:
    """Take devices of a host for an attempt; asking again gives the same ones.

    Devices of jobs that no longer run, and of older attempts, count as free.

    Args:
        session: The transaction.
        job: The job that runs.
        attempt: Its attempt.
        host: Name of the machine.
        devices: All devices there that may be taken, such as ``["cuda:0", "cuda:1"]`` or ``["cpu:0"]``.
        count: How many are needed.

    Returns:
        The devices, or None, with nothing taken, when fewer than ``count`` are free or the attempt runs no longer.
    """
    runs = (Job.id == job.id, Job.attempt == attempt, Job.status.in_(_HOLDING_STATUSES))
    if session.scalar(select(Job.id).where(*runs)) is None:
        return None
    _drop_stale(session, host)
    mine = select(Lease.device).where(Lease.host == host, Lease.job_id == job.id, Lease.attempt == attempt)
    held = [device for device in session.scalars(mine.order_by(Lease.device)) if device in devices]
    partial = session.begin_nested()
    for device in devices:
        if len(held) >= count:
            break
        lease = Lease(host=host, device=device, organization_id=job.organization_id, job_id=job.id, attempt=attempt)
        if device not in held and _add(session, lease):
            held.append(device)
    if len(held) < count:
        partial.rollback()
        return None
    partial.commit()
    return held


def hand_on(session: Session, job_id: str, attempt: int) -> None:
    """Give all devices of a job to its newest attempt."""
    session.execute(update(Lease).where(Lease.job_id == job_id).values(attempt=attempt))


def free(session: Session, job_id: str) -> None:
    """Give back all devices of a job."""
    session.execute(delete(Lease).where(Lease.job_id == job_id))


def _drop_stale(session: Session, host: str) -> None:
    holder_runs = select(Job.id).where(
        Job.id == Lease.job_id, Job.attempt == Lease.attempt, Job.status.in_(_HOLDING_STATUSES)
    )
    session.execute(
        delete(Lease).where(Lease.host == host, ~holder_runs.exists()).execution_options(synchronize_session=False)
    )


def _add(session: Session, lease: Lease) -> bool:
    try:
        with session.begin_nested():
            session.add(lease)
    except IntegrityError:
        return False
    return True
