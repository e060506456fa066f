"""From a request to a job: everything is looked up, checked and resolved here, once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador import __version__
from afinador.config.fitting import fit_to_task, refuse_or_leave_out
from afinador.config.hyperparameters import Hyperparameters
from afinador.config.layers import naming_place
from afinador.config.limits import limits_of
from afinador.config.resolve import parse_request, resolve_request, resolve_task, slug
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.config.starting import Start
from afinador.data.extraction import extraction_of
from afinador.data.shapes import require_trainable
from afinador.errors import DataError, InvalidRequestError, NameTakenError
from afinador.schemas.jobs import JobRequest, Task, TuningMethod
from registry.creation import device_checks, job_bases, job_starts
from registry.data_sets import files
from registry.job_life import class_checks, events, job_data, overlaps
from registry.ledger.ids import new_id
from registry.ledger.tables import File, Job, JobSpec, Organization
from registry.memory import Memory

SHORT_ID_LENGTH = 8
LONGEST_HUB_NAME = 96
METADATA_PAIRS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 16, 64, 512


@dataclass(frozen=True)
class _Tuning:
    """What is to be done, as far as it does not depend on the data.

    Attributes:
        sources: Of each hyperparameter, where it came from.
        start: The checkpoint or adapter that training starts from.
    """

    base: BaseModelReference
    task: Task
    method: TuningMethod
    hyperparameters: Hyperparameters
    sources: dict[str, str]
    start: Start | None


def create(
    session: Session,
    memory: Memory,
    organization: Organization,
    request: JobRequest,
    *,
    job_spec: JobSpec | None = None,
    workers_online: Mapping[str, int] | None = None,
) -> Job:
    """Write a job down, with its whole resolved specification.

    Args:
        session: The transaction to write in.
        memory: Ledger, storage and the operator's limits.
        organization: Whose job it is.
        request: What is asked for.
        job_spec: The saved spec that the request comes from; its triggers count the job if the request is the saved one.
        workers_online: How many workers each pool has, as far as it is known.

    Returns:
        The job: ``queued``, or ``validating_files`` while the check of its files is under way.

    Raises:
        NotFoundError: The base model, a file or the checkpoint is unknown; names the nearest.
        ModelError: The base model is not ready, too large, of a kind that is not trained, or its files are gone.
        DataError: A file was checked and is no good, or its labels are no classes and the task wants such.
        NameTakenError: The organisation has a job of this name.
        InvalidRequestError: A hyperparameter or another field is wrong; see ``afinador.config.resolve``. Or it does not
            fit the checkpoint; see ``afinador.config.starting``. Or no machine can have what it asks for; see
            ``registry.creation.device_checks``.
    """
    spec, data_files = resolve(session, memory, organization, request, workers_online)
    job = _row(spec, request, data_files, _method(memory, spec.tuning_method, spec.hyperparameters))
    if job_spec is not None:
        unchanged = _but_for_its_name(request) == _but_for_its_name(parse_request(job_spec.request))
        job.job_spec_id, job.job_spec = job_spec.id if unchanged else None, job_spec.name
    _insert(session, job)
    events.append(session, job.id, f"Created fine-tuning job: {job.id}")
    if spec.start_from is not None:
        told = spec.start_from.model_dump(include={"checkpoint_id", "name", "job_id", "step", "state"})
        events.append(session, job.id, spec.start_from.sentence, data={f"from_{spec.start_from.kind}": told})
    if job.status == "validating_files":
        names = ", ".join(dict.fromkeys(file.filename for file in data_files if file.status == "uploaded"))
        events.append(session, job.id, f"Validating files: {names}")
    overlaps.tell(session, job.id, job_data.judged(spec, data_files))
    return job


def resolve(
    session: Session,
    memory: Memory,
    organization: Organization,
    request: JobRequest,
    workers_online: Mapping[str, int] | None = None,
) -> tuple[FineTuningSpec, list[File]]:
    """Look up and check all that a request names, and write nothing.

    Returns:
        The specification of a job that would be created now, and its one or two files.

    Raises:
        AfinadorError: As ``create`` does, but for a name that is taken.
    """
    _check_extras(request)
    start, request = job_starts.find(session, memory, organization.id, request)
    tuning = _tuning(session, memory, organization, request, start)  # whoever still has to upload hears of this first
    device_checks.require_device(request.pool, tuning.method, tuning.hyperparameters, workers_online or {})
    training_file = _data_file(session, organization, request.training_file, "training_file")
    data_files, validation_file = [training_file], None
    if request.validation_file is not None:
        held_out = _data_file(session, organization, request.validation_file, "validation_file")
        validation_file = job_data.data_file(held_out, job_data.held_out_reading(memory, request, held_out))
        data_files.append(held_out)
    spec = _spec(organization, request, tuning, training_file, validation_file)
    judged = job_data.judged(spec, data_files)
    with naming_place(spec.sources):
        for file in judged:
            extraction_of(spec.hyperparameters).require_prompts((file.report or {}).get("types"), file.filename)
    if start is not None:
        start.require_data(spec.training_file, spec.validation_file)
    if spec.task == "sequence_classification":
        class_checks.require_classes(judged)
        if start is not None:
            job_starts.check_classes(session, start, judged)
    return spec, data_files


def _tuning(
    session: Session, memory: Memory, organization: Organization, request: JobRequest, start: Start | None
) -> _Tuning:
    method, hyperparameters, sources = resolve_request(request, memory.operator)
    with naming_place(sources):
        if start is not None:
            hyperparameters, sources = start.fitted(hyperparameters, sources)
        if hyperparameters.output_dir is not None:
            said = (
                "output_dir is for afinador train, which keeps its result on the disk; the result of a job of the service "
                "goes to the hub, under output_model. Leave output_dir out."
            )
            refuse_or_leave_out("output_dir", said, hyperparameters, sources)
        assert request.model is not None  # see parse_request and job_starts
        base = job_bases.find(session, memory, organization.id, request.model)
        if start is not None:
            start.require_base_model(base.name, base.sha256)
        task = resolve_task(request, base.architecture)
        fit_to_task(method, task, hyperparameters, sources)
        is_classifier = task == "sequence_classification"
        job_bases.require_layers(memory, base, hyperparameters, is_classifier=is_classifier)
    return _Tuning(base, task, method, hyperparameters, sources, start)


def _check_extras(request: JobRequest) -> None:
    if request.integrations:
        raise InvalidRequestError(
            "integrations are not offered; the curves of each job are kept in MLflow.", param="integrations"
        )
    metadata = request.metadata or {}
    if len(metadata) > METADATA_PAIRS:
        raise InvalidRequestError(
            f"metadata has {len(metadata)} keys; at most {METADATA_PAIRS} are kept.", param="metadata"
        )
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH or len(value) > METADATA_VALUE_LENGTH:
            raise InvalidRequestError(
                f"metadata[{key[:METADATA_KEY_LENGTH]!r}] is too long: keys have at most {METADATA_KEY_LENGTH} "
                f"characters, values {METADATA_VALUE_LENGTH}.",
                param="metadata",
            )


def _data_file(session: Session, organization: Organization, reference: str | None, param: str) -> File:
    assert reference is not None  # see parse_request and job_starts
    found = files.find_data_set(session, organization.id, reference, param=param)
    # Held until the job is written down: a verdict or a deletion comes before this, or sees the job.
    query = select(File).where(File.id == found.id).with_for_update(read=True)
    file = session.scalars(query.execution_options(populate_existing=True)).one()
    if file.status == "error":
        raise DataError(f"{file.filename} ({file.id}) cannot be used: {file.status_details}", param=param)
    require_trainable((file.report or {}).get("shape"), file.filename, param=param)
    return file


def _spec(
    organization: Organization,
    request: JobRequest,
    tuning: _Tuning,
    training_file: File,
    validation_file: DataFile | None,
) -> FineTuningSpec:
    job_id = new_id("ftjob-")
    return FineTuningSpec(
        job_id=job_id,
        job_name=request.name
        or f"{slug(request.output_model or tuning.base.original_name)}-{job_id[-SHORT_ID_LENGTH:]}",
        organization_id=organization.id,
        organization=organization.name,
        task=tuning.task,
        tuning_method=tuning.method,
        base_model=tuning.base,
        training_file=job_data.data_file(training_file, job_data.declared_of(training_file)),
        validation_file=validation_file,
        start_from=tuning.start and tuning.start.point,
        output=_output(organization, tuning.base, request, job_id, tuning.method),
        hyperparameters=tuning.hyperparameters,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        sources=tuning.sources,
        code_version=__version__,
        domain=request.domain,
        tags=request.tags,
        metadata=request.metadata,
    )


def _output(
    organization: Organization, base: BaseModelReference, request: JobRequest, job_id: str, tuning_method: TuningMethod
) -> Output:
    short_id = job_id[-SHORT_ID_LENGTH:]
    suffix = slug(request.suffix) if request.suffix else ""
    ending = f"-{suffix or short_id}"
    base_name = base.original_name
    return Output(
        name=request.output_model or f"{slug(base_name)[: LONGEST_HUB_NAME - len(ending)]}{ending}",
        kind="model" if tuning_method == "full" else "adapter",
        alias=f"ft:{base_name}:{organization.name}:{suffix}:{short_id}",
    )


def _method(memory: Memory, tuning_method: TuningMethod, hyperparameters: Hyperparameters) -> dict[str, Any]:
    usual_rate = limits_of(tuning_method, memory.operator)["learning_rate"]["default"]
    numbers = {
        "n_epochs": hyperparameters.epochs,
        "batch_size": hyperparameters.batch_size,
        "learning_rate_multiplier": round(hyperparameters.learning_rate / usual_rate, 12),
    }
    return {"type": "supervised", "supervised": {"hyperparameters": numbers}}


def _row(spec: FineTuningSpec, request: JobRequest, data_files: list[File], method: dict[str, Any]) -> Job:
    is_checked = all(file.status == "processed" for file in data_files)
    return Job(
        id=spec.job_id,
        organization_id=spec.organization_id,
        name=spec.job_name,
        status="queued" if is_checked else "validating_files",
        base_model_id=spec.base_model.model_id,
        base_model=spec.base_model.name,
        training_file_id=spec.training_file.file_id,
        validation_file_id=spec.validation_file.file_id if spec.validation_file else None,
        tuning_method=spec.tuning_method,
        task=spec.task,
        output_model=spec.output.name,
        suffix=request.suffix,
        seed=spec.seed,
        metadata_=request.metadata,
        tags=request.tags,
        domain=request.domain,
        request=request.model_dump(exclude_none=True),
        spec=spec.model_dump(mode="json"),
        method=method,
        pool=device_checks.pool_of(request.pool, spec.hyperparameters),
        priority=request.priority or 0,
    )


def _but_for_its_name(request: JobRequest) -> dict[str, Any]:
    return request.model_dump(exclude={"name"})


def _insert(session: Session, job: Job) -> None:
    try:
        with session.begin_nested():
            session.add(job)
    except IntegrityError as error:
        raise NameTakenError(
            f"There is a job {job.name!r} already; choose another name, or leave it out.", param="name"
        ) from error
