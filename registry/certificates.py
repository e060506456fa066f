"""Certificates of jobs: asked for, made by a flow, and kept.

::

    queued ──► running ──► succeeded | failed | cancelled
       ▲           │
       └───────────┘ (its process died, or the service goes down)

Functions that a flow calls go by the certificate's id alone; whoever knows one got it from the ledger.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.errors import IllegalTransitionError, OutOfRangeError
from afinador.figures import counted
from afinador.schemas import certificates as wire
from afinador.schemas.certificates import LEAST_STEPS, MOST_STEPS
from registry import jobs
from registry.job_life import events, leases
from registry.ledger.database import changes
from registry.ledger.pages import page
from registry.ledger.tables import Certificate, HubVersion, Job

End = Literal["succeeded", "failed", "cancelled"]

MAX_SUBMISSIONS = 3
"""A proof whose process dies so often is not tried again."""


def verify_resume(session: Session, organization_id: str, job: str, steps: int) -> Certificate:
    """Ask for a proof that a job's training resumes exactly.

    Raises:
        NotFoundError: The organisation has no such job.
        OutOfRangeError: ``steps`` is not from 2 to 10,000.
        IllegalTransitionError: The job's files are still being checked.
    """
    if not LEAST_STEPS <= steps <= MOST_STEPS:
        raise OutOfRangeError(
            f"steps is {steps}; it must be from {LEAST_STEPS} to {MOST_STEPS:,} optimizer steps.", param="steps"
        )
    row = jobs.get(session, organization_id, job)
    if row.status == "validating_files":
        raise IllegalTransitionError(
            f"The files of the job {row.name!r} are still being checked; ask again when it is queued.", param="job"
        )
    return _ask_for(
        session, row, "resume", f"A proof of exact resume over {counted(steps, 'step')} is queued.", steps=steps
    )


def reproduce(session: Session, organization_id: str, job: str) -> Certificate:
    """Ask for a job to be run again, and its weights to be compared with those that it has published.

    Raises:
        NotFoundError: The organisation has no such job.
        IllegalTransitionError: It has not succeeded, or what it has published was deleted.
    """
    row = jobs.get(session, organization_id, job)
    if row.status != "succeeded" or not published_hashes(session, row.id):
        what = "is no longer in the hub" if row.status == "succeeded" else f"is not there: it is {row.status}"
        raise IllegalTransitionError(
            f"The result of the job {row.name!r} {what}; only a published one can be reproduced.", param="job"
        )
    return _ask_for(session, row, "reproduction", "A reproduction is queued.")


def published_hashes(session: Session, job_id: str) -> dict[str, str]:
    """Return the SHA-256 of each safetensors file that a job has published, by name; empty when it is not in the hub."""
    files = (
        session.scalar(
            select(HubVersion.files).where(HubVersion.job_id == job_id, HubVersion.checkpoint_step.is_(None))
        )
        or {}
    )
    return {name: file["sha256"] for name, file in files.items() if name.endswith(".safetensors")}


def _ask_for(session: Session, job: Job, type: str, message: str, *, steps: int | None = None) -> Certificate:
    row = Certificate(organization_id=job.organization_id, job_id=job.id, type=type, steps=steps, pool=job.pool)
    session.add(row)
    session.flush()
    events.append(session, job.id, message, data={"certificate_id": row.id})
    return row


def list_page(
    session: Session, organization_id: str, job_id: str, after: str | None = None, limit: int = 20
) -> tuple[list[Certificate], bool]:
    """Return a page of a job's certificates, newest first, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    query = select(Certificate).where(Certificate.organization_id == organization_id, Certificate.job_id == job_id)
    return page(session, query, [Certificate.created_at, Certificate.id], key=Certificate.id, after=after, limit=limit)


def to_wire(row: Certificate) -> wire.Certificate:
    """Return a certificate as it is answered."""
    return wire.Certificate(
        id=row.id,
        created_at=int(row.created_at),
        finished_at=None if row.finished_at is None else int(row.finished_at),
        fine_tuning_job_id=row.job_id,
        job_id=row.job_id,
        type=row.type,  # type: ignore[arg-type]
        status=row.status,  # type: ignore[arg-type]
        equal=(row.document or {}).get("equal"),
        steps=row.steps,
        run_url=row.flow_run_url,
        error=row.error,
        certificate=row.document,
    )


def claim(
    session: Session,
    certificate_id: str,
    flow_run_id: str,
    *,
    process_id: int,
    process_started_at: float,
    host: str,
) -> Certificate | None:
    """Begin to make a certificate; None when it is made already, or by another run."""
    statement = (
        update(Certificate)
        .where(*_is(certificate_id, "queued"), Certificate.flow_run_id == flow_run_id)
        .values(
            status="running",
            process_id=process_id,
            process_started_at=process_started_at,
            host=host,
            heartbeat_at=time.time(),
            request_state=None,
        )
    )
    if not changes(session, statement):
        return None
    return session.get_one(Certificate, certificate_id, populate_existing=True)


def beat(session: Session, certificate_id: str, flow_run_id: str) -> str | None:
    """Say that the flow lives.

    Returns:
        What it is asked to do: ``hold``, ``lost`` when the certificate is no longer its own, or None.
    """
    mine = (*_is(certificate_id, "running"), Certificate.flow_run_id == flow_run_id)
    if not changes(session, update(Certificate).where(*mine).values(heartbeat_at=time.time())):
        return "lost"
    return session.scalar(select(Certificate.request_state).where(Certificate.id == certificate_id))


def finish(
    session: Session,
    certificate_id: str,
    status: End,
    *,
    document: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> bool:
    """End a certificate that is queued or made, free its device, and tell the job; False when it has ended before."""
    statement = (
        update(Certificate)
        .where(Certificate.id == certificate_id, Certificate.status.in_(("queued", "running")))
        .values(status=status, finished_at=time.time(), document=document, error=error, request_state=None)
    )
    if not changes(session, statement):
        return False
    leases.free_certificate(session, certificate_id)
    row = session.get_one(Certificate, certificate_id, populate_existing=True)
    is_good = (document or {}).get("equal", status == "cancelled")
    events.append(session, row.job_id, _said(row), level="info" if is_good else "error", data=_shortened(row))
    return True


def requeue(session: Session, certificate_id: str, reason: str) -> bool:
    """Have a certificate made anew, from its first step, by a new run; it fails when that was tried often enough.

    Returns:
        False when it is not being made, or has failed now.
    """
    row = session.get(Certificate, certificate_id, populate_existing=True)
    if row is None or row.status not in ("queued", "running"):
        return False
    is_held = row.request_state == "hold"
    if row.submission + 1 >= MAX_SUBMISSIONS and not is_held:
        message = f"{reason} It was tried {MAX_SUBMISSIONS} times."
        finish(session, row.id, "failed", error={"code": "attempts_exhausted", "message": message, "param": None})
        return False
    leases.free_certificate(session, row.id)
    row.status, row.request_state, row.submission = "queued", None, row.submission + 1
    row.flow_run_id = row.flow_run_url = row.process_id = row.process_started_at = row.host = None
    return True


def _said(row: Certificate) -> str:
    document = row.document or {}
    what = "Exact resume" if row.type == "resume" else "Reproduction"
    if row.status != "succeeded":
        reason = (row.error or {}).get("message") or "it was cancelled"
        return f"{what} could not be proved: {reason}"
    if row.type == "resume":
        over = f"over {counted(document['steps'], 'step')}, resumed after {document['resumed_after']}"
    else:
        over = "by running the whole job again"
    if document["equal"]:
        return f"{what} is proved {over}: everything is equal to the bit."
    difference = document.get("first_difference")
    where = f" The first difference is {difference['value']} of step {difference['step']}." if difference else ""
    return f"{what} is disproved {over}.{where}"


def _shortened(row: Certificate) -> dict[str, Any]:
    kept = ("equal", "steps", "first_difference", "environment_differences")
    short = {name: row.document[name] for name in kept if name in (row.document or {})} if row.document else {}
    return {"certificate_id": row.id, "type": row.type, **short}


def _is(certificate_id: str, status: str) -> tuple[Any, ...]:
    return Certificate.id == certificate_id, Certificate.status == status
