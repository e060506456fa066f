"""Jobs that wait for their files to be checked."""

from __future__ import annotations

import time

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from afinador.config.spec import FineTuningSpec
from afinador.errors import DataError
from registry.job_life import class_checks, events, job_data, overlaps
from registry.job_life.job_times import counted
from registry.ledger.database import changes
from registry.ledger.tables import File, Job


def settle(session: Session, file_id: str) -> None:
    """Queue the jobs whose files are all good now, and fail those that wait for a bad one.

    Call it in the transaction that writes a file's verdict down.
    """
    uses_file = or_(Job.training_file_id == file_id, Job.validation_file_id == file_id)
    for job in session.scalars(select(Job).where(uses_file, Job.status == "validating_files")):
        settle_job(session, job)


def settle_job(session: Session, job: Job) -> None:
    """Queue or fail one job that waits for its files, if their verdicts are there; another is left as it is."""
    if job.status != "validating_files":
        return
    # Where the database knows row locks, a verdict that is being written down is waited for.
    identities = [identity for identity in (job.training_file_id, job.validation_file_id) if identity is not None]
    data_files = [
        session.get_one(File, identity, populate_existing=True, with_for_update={"read": True})
        for identity in identities
    ]
    bad = next((file for file in data_files if file.status == "error"), None)
    if bad is not None:
        param = "training_file" if bad.id == job.training_file_id else "validation_file"
        said = f"The {param.replace('_', ' ')} {bad.filename!r} cannot be used: {bad.status_details}"
        _fail(session, job, f"invalid_{param}", said, param)
    elif all(file.status == "processed" for file in data_files):
        _judge(session, job, data_files)
    session.refresh(job)


def _judge(session: Session, job: Job, data_files: list[File]) -> None:
    """Queue a job whose files are good, unless its labels are no classes, which had they been known it was refused for."""
    try:
        if job.spec["task"] == "sequence_classification":
            class_checks.require_classes(job_data.judged(FineTuningSpec.model_validate(job.spec), data_files))
    except DataError as error:
        _fail(session, job, error.code, error.message, error.param)
        return
    _queue(session, job, data_files)


def _queue(session: Session, job: Job, data_files: list[File]) -> None:
    spec = _with_verdicts(FineTuningSpec.model_validate(job.spec), data_files)
    statement = (
        update(Job)
        .where(Job.id == job.id, Job.status == "validating_files")
        .values(status="queued", **counted(), spec=spec.model_dump(mode="json"))
    )
    if changes(session, statement):
        message = "Files validated, moving job to queued state"
        events.append(session, job.id, message, data={"status": "queued"}, dedup_key="files-validated")
        overlaps.tell(session, job.id, job_data.judged(spec, data_files))


def _fail(session: Session, job: Job, code: str, message: str, param: str | None) -> None:
    error = {"code": code, "message": message, "param": param}
    statement = (
        update(Job)
        .where(Job.id == job.id, Job.status == "validating_files")
        .values(status="failed", **counted(), finished_at=time.time(), error=error)
    )
    if changes(session, statement):
        events.append(session, job.id, message, level="error", data={"status": "failed", "param": param})


def _with_verdicts(spec: FineTuningSpec, data_files: list[File]) -> FineTuningSpec:
    """Return a job's specification with what the check of its files found; of those that were fetched first, all."""
    read = {"training_file": spec.training_file, "validation_file": spec.validation_file}
    named = {field: each for field, each in read.items() if each is not None}
    settled = {
        field: job_data.data_file(file, each.reading)
        for (field, each), file in zip(named.items(), data_files, strict=True)
    }
    return spec.model_copy(update=settled)
