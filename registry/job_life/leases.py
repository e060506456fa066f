"""Which attempt of a job, or which making of a certificate, holds which device of which host."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.ledger.tables import Certificate, Job, Lease

_HOLDING_STATUSES = ("running", "pausing")


def take(session: Session, job: Job, attempt: int, host: str, devices: list[str], count: int = 1) -> list[str] | None:
    """Take devices of a host for an attempt; asking again gives the same ones.

    Devices of jobs that no longer run, or run on another host now, and of certificates that are no longer made count as
    free. A job whose attempt died keeps its own: the trainer may not have stopped yet.

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
    holder = {"organization_id": job.organization_id, "job_id": job.id, "attempt": attempt, "certificate_id": None}
    hand_on(session, job.id, attempt)
    return _take(session, holder, host, devices, count)


def take_for_certificate(session: Session, certificate: Certificate, host: str, devices: list[str]) -> list[str] | None:
    """Take one device of a host to make a certificate; asking again gives the same one, None while all are taken."""
    holder = {"organization_id": certificate.organization_id, "job_id": certificate.job_id, "attempt": 0}
    return _take(session, {**holder, "certificate_id": certificate.id}, host, devices, 1)


def _take(session: Session, holder: dict[str, Any], host: str, devices: list[str], count: int) -> list[str] | None:
    _drop_stale(session, host)
    mine = select(Lease.device).where(
        Lease.host == host,
        Lease.job_id == holder["job_id"],
        Lease.attempt == holder["attempt"],
        Lease.certificate_id.is_not_distinct_from(holder["certificate_id"]),
    )
    held = [device for device in session.scalars(mine.order_by(Lease.device)) if device in devices]
    partial = session.begin_nested()
    for device in devices:
        if len(held) >= count:
            break
        if device not in held and _add(session, Lease(host=host, device=device, **holder)):
            held.append(device)
    if len(held) < count:
        partial.rollback()
        return None
    partial.commit()
    return held


def hand_on(session: Session, job_id: str, attempt: int) -> None:
    """Give all devices of a job to its newest attempt."""
    session.execute(update(Lease).where(*_of_attempts(job_id)).values(attempt=attempt))


def free(session: Session, job_id: str) -> None:
    """Give back all devices of a job's attempts."""
    session.execute(delete(Lease).where(*_of_attempts(job_id)))


def free_certificate(session: Session, certificate_id: str) -> None:
    """Give back the device on which a certificate was made."""
    session.execute(delete(Lease).where(Lease.certificate_id == certificate_id))


def _of_attempts(job_id: str) -> tuple[Any, ...]:
    return Lease.job_id == job_id, Lease.certificate_id.is_(None)


def _drop_stale(session: Session, host: str) -> None:
    job_runs = select(Job.id).where(
        Lease.certificate_id.is_(None),
        Job.id == Lease.job_id,
        or_(Job.attempt == Lease.attempt, Job.host == Lease.host),
        or_(Job.status.in_(_HOLDING_STATUSES), and_(Job.status == "queued", Job.turn_at.is_not(None))),
    )
    is_being_made = select(Certificate.id).where(
        Certificate.id == Lease.certificate_id, Certificate.status == "running"
    )
    is_held = or_(job_runs.exists(), is_being_made.exists())
    session.execute(delete(Lease).where(Lease.host == host, ~is_held).execution_options(synchronize_session=False))


def _add(session: Session, lease: Lease) -> bool:
    try:
        with session.begin_nested():
            session.add(lease)
    except IntegrityError:
        return False
    return True
