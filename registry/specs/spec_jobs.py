"""Jobs made of saved specs: whenever one is asked for; by schedules and triggers one for each state of the data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from afinador.config.resolve import asked_for, parse_request, slug
from afinador.config.saved_requests import with_changes
from afinador.errors import AfinadorError, InvalidRequestError, NotFoundError, ServiceUnavailableError, StorageError
from afinador.schemas.jobs import JobRequest
from registry import jobs
from registry.creation.job_creation import SHORT_ID_LENGTH
from registry.data_sets import dataset_updates, files
from registry.job_life import events
from registry.job_life.job_views import UNRESOLVED
from registry.ledger.ids import new_id
from registry.ledger.tables import File, Job, JobSpec, Organization
from registry.memory import Memory
from registry.specs import job_specs

WAITING_STATUSES = ("validating_files", "queued")
DataIds = tuple[str | None, str | None]
"""Ids of the training and the validation file."""
_COULD_BE_RUN = or_(Job.status != "failed", Job.attempt > 0)


@dataclass
class Started:
    """What has come of a saved spec.

    Attributes:
        job: The job; ``failed`` when the spec cannot be run, with the reason.
        is_new: Whether it was made now, or was there already.
        superseded: Jobs of the spec for older data that had not begun, cancelled now; their runs are to be taken back.
    """

    job: Job
    is_new: bool
    superseded: list[Job] = field(default_factory=list)


def create(
    session: Session,
    memory: Memory,
    organization: Organization,
    body: dict[str, Any],
    workers_online: Mapping[str, int] | None = None,
) -> tuple[Job, list[str]]:
    """Make a job of the saved spec that a request names, with what the request gives beside it; always one of its own.

    Args:
        session: The transaction to write in.
        memory: Ledger, storage and the operator's limits.
        organization: Who asks.
        body: The request, with ``job_spec``.
        workers_online: How many workers each pool has, as far as it is known.

    Returns:
        The job, and the ids of its files that are to be fetched from the Hugging Face Hub.

    Raises:
        NotFoundError: There is no such spec.
        AfinadorError: The job cannot be made; see ``registry.creation.job_creation.create``.
    """
    given = parse_request(body, is_whole=False)
    spec = job_specs.get(session, organization.id, str(given.job_spec))
    beside = given.model_fields_set - {"job_spec"}
    try:
        request = with_changes(parse_request(spec.request), given)
        to_fetch = files.require_fetched(session, memory, organization.id, request.model_dump())
        job = jobs.create(session, memory, organization, request, job_spec=spec, workers_online=workers_online)
    except AfinadorError as error:
        if error.param and error.param.partition(".")[0] not in beside:
            error.begin_with(f"The saved spec {spec.name!r} cannot be run")
        raise
    cause = f"Made from the saved spec {spec.name!r}"
    changes = sorted(beside - {"name"})
    changed = f", with other fields beside it: {', '.join(changes)}" if changes else ""
    events.append(session, job.id, cause + changed, data={"job_spec": spec.name})
    return job, to_fetch


def start(
    session: Session, memory: Memory, organization: Organization, spec: JobSpec, cause: str, *, once: bool = False
) -> Started:
    """Make a job of a saved spec, for the newest versions of the files that it gives by name.

    No second job is made while one of the spec for the same files waits. Waiting ones for older versions are cancelled.
    A spec that cannot be run leaves a failed job that says why; as long as nothing changes, no second one.

    Args:
        session: The transaction to write in.
        memory: Ledger, storage and the operator's limits.
        organization: Whose spec it is.
        spec: The spec.
        cause: Why the job is made, a sentence for its events.
        once: Make no job either when there was one of the spec for the same files, whatever became of it, or when its newest
            one is for the same bytes, read in the same way. Those that could not be run do not count.

    Raises:
        StorageError: The storage does not answer; a later call may go well.
        ServiceUnavailableError: The same of another service.
        AfinadorError: The spec cannot be run, and there is not even a trace of its training file to tie a job to.
    """
    # Where the database knows row locks, jobs of one spec are made one after the other.
    session.execute(select(JobSpec.id).where(JobSpec.id == spec.id).with_for_update())
    training_file = _newest(session, organization.id, spec.request["training_file"])
    validation_file = _newest(session, organization.id, spec.request.get("validation_file"))
    data = (training_file.id if training_file else None, validation_file.id if validation_file else None)
    if once:
        existing = _of_data(session, spec, data) or _newest_of_content(session, spec, training_file, validation_file)
    else:
        existing = _waiting(session, spec, data)
    if existing is not None:
        return Started(existing, is_new=False)
    try:
        job = jobs.create(session, memory, organization, parse_request(spec.request), job_spec=spec)
    except AfinadorError as error:
        is_passing = isinstance(error, StorageError | ServiceUnavailableError)  # and says nothing of the spec
        if is_passing or training_file is None:
            raise
        error.begin_with(f"The saved spec {spec.name!r} cannot be run")
        if (told := _same_failure(session, spec, data, error)) is not None:
            return Started(told, is_new=False)
        return Started(_failed(session, spec, data, error), is_new=True)
    events.append(session, job.id, cause, data={"job_spec": spec.name})
    return Started(job, is_new=True, superseded=_supersede(session, spec, job))


def retrain(session: Session, memory: Memory, organization: Organization, filename: str, version: int) -> list[Started]:
    """Make a job of each saved spec that gives a file by name and retrains, now that the file has a new version.

    It may be called any number of times for a version: see ``start``, ``once``. A version that was deleted again starts
    nothing on the data of before.

    Raises:
        NotFoundError: The file never had this version.
    """
    _require_version(session, organization, filename, version)
    newest = _newest(session, organization.id, filename)
    is_there = newest is not None and newest.filename == filename and newest.deleted_at is None
    # The job is trained on the newest one; of many at once the event of another may come first.
    news = (
        f"because {filename!r} has a new version ({max(version, newest.version) if newest and is_there else version})"
    )
    return [
        start(session, memory, organization, spec, f"Made from the saved spec {spec.name!r}, {news}", once=True)
        for spec in dataset_updates.specs_naming(session, organization.id, filename)
        if _has_news(session, spec, filename, version)
    ]


def _require_version(session: Session, organization: Organization, filename: str, version: int) -> None:
    of_name = (File.organization_id == organization.id, File.filename == filename)  # deleted ones, too
    newest = session.scalar(select(func.max(File.version)).where(*of_name))
    if newest is None:
        raise NotFoundError(
            f"The organization {organization.name!r} has no file {filename!r}; `afinador list file` shows what it has.",
            param="name",
        )
    if not 1 <= version <= newest:
        there = "is version 1" if newest == 1 else f"are versions 1 to {newest}"
        raise NotFoundError(
            f"There is no version {version} of {filename!r}; there {there}. Give one of these, or upload the file again.",
            param="version",
        )


def _has_news(session: Session, spec: JobSpec, filename: str, version: int) -> bool:
    """Tell whether a spec's words mean this file, and something new by it.

    ``orders`` may mean orders.csv by now, and not orders.jsonl. The version may be gone again; the one before it is news
    only if it came after the spec.
    """
    found = [
        _newest(session, spec.organization_id, spec.request.get(field))
        for field in ("training_file", "validation_file")
    ]
    return any(
        file.filename == filename
        and (file.deleted_at is not None or file.version >= version or file.created_at > spec.created_at)
        for file in found
        if file is not None
    )


def _newest(session: Session, organization_id: str, reference: str | None) -> File | None:
    """Return the file that a reference means now, or if it was deleted, what it meant last."""
    if reference is None:
        return None
    try:
        return files.find_data_set(session, organization_id, reference)
    except NotFoundError:
        return files.find_deleted(session, organization_id, reference)
    except InvalidRequestError:  # it is not for training, which the job that is made of the spec says
        return files.find(session, organization_id, reference)


def _of_spec(spec: JobSpec) -> Select[tuple[Job]]:
    return select(Job).where(Job.organization_id == spec.organization_id, Job.job_spec_id == spec.id)


def _waiting(session: Session, spec: JobSpec, data: DataIds) -> Job | None:
    """Return the newest job of a spec for the same files that waits."""
    return session.scalars(_of_files(spec, data).where(Job.status.in_(WAITING_STATUSES))).first()


def _of_data(session: Session, spec: JobSpec, data: DataIds) -> Job | None:
    """Return the newest job of a spec for the same files that could be run."""
    return session.scalars(_of_files(spec, data).where(_COULD_BE_RUN)).first()


def _of_files(spec: JobSpec, data: DataIds) -> Select[tuple[Job]]:
    training_file_id, validation_file_id = data
    query = _of_spec(spec).where(Job.training_file_id == training_file_id)
    query = query.where(Job.validation_file_id.is_not_distinct_from(validation_file_id))
    return query.order_by(Job.created_at.desc())


def _newest_of_content(session: Session, spec: JobSpec, training: File | None, validation: File | None) -> Job | None:
    """Return the newest job of a spec that could be run, if it is for the same content, whatever the versions are."""
    newest = session.scalars(_of_spec(spec).where(_COULD_BE_RUN).order_by(Job.created_at.desc())).first()
    if newest is None:
        return None
    pairs = ((newest.training_file_id, training), (newest.validation_file_id, validation))
    return newest if all(_is_same(session, file_id, file) for file_id, file in pairs) else None


def _is_same(session: Session, file_id: str | None, file: File | None) -> bool:
    """Tell whether a file of a job has the bytes of another version of it, and is read in the same way."""
    had = None if file_id is None else session.get(File, file_id)
    if had is None or file is None or had.id == file.id:
        return had is file
    is_known = bool(file.sha256)  # else it is of the Hugging Face Hub, and not yet here
    return is_known and (had.filename, had.sha256, had.reading) == (file.filename, file.sha256, file.reading)


def _never_began(job: Job) -> bool:
    return job.status == "failed" and job.attempt == 0


def _same_failure(session: Session, spec: JobSpec, data: DataIds, error: AfinadorError) -> Job | None:
    """Return the newest job of a spec if that one failed for the same reason, before it began: once is enough."""
    newest = session.scalars(_of_spec(spec).order_by(Job.created_at.desc()).limit(1)).first()
    if newest is None or not _never_began(newest) or (newest.training_file_id, newest.validation_file_id) != data:
        return None
    return newest if (newest.error or {}).get("message") == error.message else None


def _supersede(session: Session, spec: JobSpec, job: Job) -> list[Job]:
    older = _of_spec(spec).where(Job.id != job.id, Job.attempt == 0, Job.status.in_(WAITING_STATUSES))
    cancelled = []
    for waiting in session.scalars(older).all():
        message = f"Superseded by {job.name}, which takes a newer version of the data"
        events.append(session, waiting.id, message, data={"job": job.id})
        cancelled.append(jobs.request_cancel(session, job.organization_id, waiting.id))
    return cancelled


def _failed(session: Session, spec: JobSpec, data: DataIds, error: AfinadorError) -> Job:
    """Write a job down that has failed before it began, with what was asked for; it can never be attempted."""
    training_file_id, validation_file_id = data
    request = JobRequest.model_construct(**spec.request)
    hyperparameters, sources = asked_for(request)
    now, id = time.time(), new_id("ftjob-")
    job = Job(
        id=id,
        organization_id=spec.organization_id,
        name=f"{slug(request.output_model or spec.name)}-{id[-SHORT_ID_LENGTH:]}",
        status="failed",
        created_at=now,
        finished_at=now,
        base_model_id="",
        base_model=request.model,
        training_file_id=training_file_id,
        validation_file_id=validation_file_id,
        tuning_method=request.tuning_method or (request.config or {}).get("tuning_method") or "lora",
        task=request.task or "causal_lm",
        output_model=request.output_model,
        suffix=request.suffix,
        seed=request.seed or 0,
        metadata_=request.metadata,
        tags=request.tags,
        domain=request.domain,
        request=spec.request,
        spec={
            "hyperparameters": {"max_attempts": 0},  # what a claim looks at
            UNRESOLVED: {"hyperparameters": hyperparameters, "sources": sources},
        },
        method=request.method,
        pool=request.pool,
        job_spec_id=spec.id,
        job_spec=spec.name,
        error={"code": error.code, "message": error.message, "param": error.param},
    )
    session.add(job)
    session.flush()
    events.append(session, job.id, error.message, level="error", data={"job_spec": spec.name})
    return job
