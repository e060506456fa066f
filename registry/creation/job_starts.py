"""The checkpoint or adapter that a new job starts from: found, and held against what is asked for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from afinador.config.spec import CheckpointReference, FineTuningSpec, StartingPoint
from afinador.config.starting import Recipe, Start, other_classes
from afinador.data.labels import LabelledFile, classes_of
from afinador.errors import InvalidRequestError, NotFoundError
from afinador.models.headers import hash_of_files
from afinador.schemas.jobs import JobRequest
from registry.creation import job_bases
from registry.job_life import checkpoints
from registry.ledger.tables import Checkpoint, File, Job
from registry.memory import Memory
from registry.models import base_models


def find(
    session: Session, memory: Memory, organization_id: str, request: JobRequest
) -> tuple[Start | None, JobRequest]:
    """Look up the checkpoint that a request starts from, and take what the request leaves out from its job.

    Base model and data are taken over; the validation file only together with the training file, or where training goes
    on. The checkpoint is held until the job is written down: from then on its files stay as long as the job is open.
    The same goes for an adapter that the request names as its model: its base model is taken over, and no data.

    Raises:
        NotFoundError: The organisation has no such checkpoint or result, or its files are gone.
        InvalidRequestError: It holds weights only, or the request asks for a method, task or seed that is not its own.
        StorageError: The storage does not answer.
    """
    if request.from_checkpoint is None:
        return _adapter(session, memory, organization_id, request)
    row = checkpoints.find_named(session, organization_id, request.from_checkpoint, param="from_checkpoint")
    spec = FineTuningSpec.model_validate(session.get_one(Job, row.job_id).spec)
    goes_on = request.from_checkpoint_state == "whole"
    point = StartingPoint(
        **_reference(memory, row).model_dump(),
        state="whole" if goes_on else "weights",
        best=_best(session, memory, row, spec) if goes_on else None,
    )
    start = Start(point, Recipe.of(spec))
    taken = _inputs(request, spec, goes_on=goes_on)
    if request.model in (None, spec.base_model.name):
        taken["model"] = _base_model(session, memory, organization_id, spec)
    return start, start.completed(request.model_copy(update=taken))


def _adapter(
    session: Session, memory: Memory, organization_id: str, request: JobRequest
) -> tuple[Start | None, JobRequest]:
    result = job_bases.find_result(session, memory, organization_id, request.model or "")
    if result is None or result.kind != "adapter":
        return None, request
    job = session.get_one(Job, result.job_id)
    spec = FineTuningSpec.model_validate(job.spec)
    point = StartingPoint(
        kind="adapter",
        name=result.alias,
        job_id=job.id,
        step=job.reached_step if result.checkpoint_step is None else result.checkpoint_step,
        path=result.storage_prefix,
        manifest_sha256=hash_of_files(result.files),
        bytes=sum(file["bytes"] for file in result.files.values()),
        state="weights",
    )
    start = Start(point, Recipe.of(spec))
    model = _base_model(session, memory, organization_id, spec)
    return start, start.completed(request.model_copy(update={"model": model}))


def _base_model(session: Session, memory: Memory, organization_id: str, spec: FineTuningSpec) -> str:
    """Return what the base model of a job is found by: its id, for its name may be that of another one by now."""
    base = spec.base_model
    if base.model_id is None or base.storage_prefix is not None:  # a result has an alias, which is its alone
        return base.name
    try:
        return base_models.find(session, memory, organization_id, base.model_id).id
    except NotFoundError:  # it may have been registered once more
        return base.name


def _inputs(request: JobRequest, spec: FineTuningSpec, *, goes_on: bool) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    if request.training_file is None:
        taken["training_file"] = spec.training_file.file_id
    if request.validation_file is None and spec.validation_file and (goes_on or request.training_file is None):
        taken["validation_file"] = spec.validation_file.file_id
        if request.validation_reading is None and spec.validation_file.reading is not None:
            taken["validation_reading"] = spec.validation_file.reading.to_json()
    return taken


def _reference(memory: Memory, row: Checkpoint) -> CheckpointReference:
    manifest = checkpoints.manifest(memory, row, param="from_checkpoint")
    if "training_state/state.json" not in json.loads(manifest)["files"]:
        raise InvalidRequestError(
            f"The checkpoint {row.name} holds weights only, no state of the training; no job can start from it.",
            param="from_checkpoint",
            code="checkpoint_without_state",
        )
    return CheckpointReference(
        checkpoint_id=row.id,
        name=row.name,
        job_id=row.job_id,
        step=row.step_number,
        path=row.storage_key,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        bytes=row.bytes,
    )


def _best(session: Session, memory: Memory, row: Checkpoint, spec: FineTuningSpec) -> CheckpointReference | None:
    """Return the checkpoint that early stopping would publish; it may be one of the job that this one has gone on from."""
    if spec.hyperparameters.early_stopping_patience is None:
        return None
    with memory.storage.open(f"{row.storage_key}/trainer_state.json") as stream:
        step = json.load(stream)["best_step"]
    if step in (None, row.step_number):
        return None
    best = session.scalars(
        select(Checkpoint)
        .where(Checkpoint.organization_id == row.organization_id, Checkpoint.job_id == row.job_id)
        .where(Checkpoint.step_number == step)
        .with_for_update(read=True)
    ).first()
    if best is not None:
        return _reference(memory, best)
    before = spec.start_from if spec.start_from and spec.start_from.state == "whole" else None
    for reference in filter(None, (before, before and before.best)):
        if reference.step == step:
            named = reference.checkpoint_id or reference.name
            return _reference(
                memory, checkpoints.find_named(session, row.organization_id, named, param="from_checkpoint")
            )
    raise InvalidRequestError(
        f"The training of {row.name} was best after step {step}, and that checkpoint is gone, so that it cannot go on "
        "exactly. Set from_checkpoint_state to 'weights'.",
        param="from_checkpoint",
        code="checkpoint_does_not_fit",
    )


def check_classes(session: Session, start: Start, data_files: list[File]) -> None:
    """Refuse other classes than those of the checkpoint or adapter, where files have been checked; the run itself does it too.

    Raises:
        InvalidRequestError: The labels of the data are other ones.
    """
    job = session.get_one(Job, start.point.job_id)
    had_file = session.get_one(File, job.training_file_id)
    found = [LabelledFile.from_report(file.filename, file.report or {}) for file in (had_file, *data_files)]
    if not all(file.report for file in (had_file, *data_files)) or not all(file.can_be_judged for file in found):
        return
    had, now = set(classes_of(found[0])), set(classes_of(*found[1:]))
    if had != now:
        raise InvalidRequestError(
            other_classes(start.point, now, had), param="training_file", code=f"{start.point.kind}_does_not_fit"
        )
