"""A checkpoint into the hub: the files that it holds in published form, by the way that a finished job's take."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from afinador.config.spec import FineTuningSpec, Output
from afinador.errors import (
    CheckpointDamagedError,
    InvalidRequestError,
    NameTakenError,
    NotFoundError,
    ServiceUnavailableError,
)
from afinador.schemas.models import HubFile
from afinador.storage import require_free_space, sha256_of
from registry.job_life import checkpoints, events, job_queries
from registry.ledger.tables import BaseModel, Checkpoint, HubVersion, Job
from registry.memory import Memory
from registry.publishing.hub_publishing import publish_as, version_of
from registry.tracking.experiments import Experiments

_OF_TRAINING = ("training_state/", "trainer_state.json")
"""What only going on needs; it is not published."""
_LINEAGE = "afinador.json"
_FIGURES = {"valid_loss": "loss", "accuracy": "accuracy", "macro_f1": "macro_f1"}

_under_way: set[str] = set()
_guard = threading.Lock()


def publish_checkpoint(
    memory: Memory,
    experiments: Experiments,
    organization_id: str,
    job: str,
    checkpoint: str,
    output_model: str | None = None,
) -> HubVersion:
    """Publish a checkpoint as the newest version of a hub name; it is known as ``ft:…:ckpt-step-N`` there, too.

    A checkpoint is one version: asked again the same one is returned, under another name it is refused. The job may be in
    any state.

    Args:
        memory: Ledger and storage.
        experiments: MLflow.
        organization_id: Whose job it is.
        job: Id or name.
        checkpoint: Id or step.
        output_model: Hub name; that of the job by default.

    Raises:
        NotFoundError: There is no such job or checkpoint, or its files are gone.
        NameTakenError: It is published under another name.
        InvalidRequestError: An older version of the service has made it, without what is published beside the weights.
        CheckpointDamagedError: Its files are not what was saved.
        ServiceUnavailableError: It is being published right now, or MLflow does not answer; may be repeated.
        StorageError: The storage does not answer; may be repeated.
        InsufficientStorageError: A disk is too full.
    """
    with memory.database.reading() as reading:
        owner = job_queries.get(reading, organization_id, job)
        row = checkpoints.find(reading, organization_id, owner.id, checkpoint)
    spec = FineTuningSpec.model_validate(owner.spec)
    name = output_model or spec.output.name
    spec.output = Output(name=name, kind=spec.output.kind, alias=row.name)
    with _alone(f"{organization_id}/{row.name}"):
        version = version_of(memory, organization_id, row.name)
        if version is None:
            version = _published(memory, experiments, owner, row, spec)
    if version.name != name:
        raise NameTakenError(
            f"The checkpoint of step {row.step_number} is published already, as {version.name!r}, version "
            f"{version.version}. Use that one, or delete it there ({row.name}) before it gets another name.",
            param="output_model",
        )
    return version


def _published(memory: Memory, experiments: Experiments, job: Job, row: Checkpoint, spec: FineTuningSpec) -> HubVersion:
    _require_base(memory, spec)
    with tempfile.TemporaryDirectory(prefix="publishing-", dir=memory.settings.home) as temporary:
        folder = Path(temporary)
        _fetch(memory, row, folder)
        version = publish_as(
            memory, experiments, spec, folder, _metrics(row), run_id=job.mlflow_run_id, step=row.step_number
        )
    message = f"Published the checkpoint of step {row.step_number} as {version.kind} {version.name}, version {version.version}."
    with memory.database.session() as session:
        events.append(session, job.id, message, data={"checkpoint": row.name, "step": row.step_number})
    return version


def _require_base(memory: Memory, spec: FineTuningSpec) -> None:
    with memory.database.reading() as session:
        known = (session.get(table, spec.base_model.model_id) for table in (BaseModel, HubVersion))
        if not any(known):
            raise NotFoundError(
                f"The base model {spec.base_model.name} of this job was deleted; what is tuned from it can be downloaded, "
                "and not published.",
                param="checkpoint",
                code="model_not_found",
            )


def _fetch(memory: Memory, row: Checkpoint, folder: Path) -> None:
    """Bring the files that are published into a folder, each held against the manifest."""
    files = [file for file in checkpoints.files_of(memory, row) if not file.path.startswith(_OF_TRAINING)]
    if _LINEAGE not in [file.path for file in files]:
        raise InvalidRequestError(
            f"The checkpoint {row.name} was written by an older version of Afinador, without model card and lineage; it "
            "can be downloaded and started from, and not published.",
            param="checkpoint",
            code="checkpoint_of_older_version",
        )
    require_free_space(folder, sum(file.bytes for file in files), f"Publishing {row.name}")
    for file in files:
        target = folder / file.path
        try:
            memory.storage.get_file(f"{row.storage_key}/{file.path}", target)
        except NotFoundError as error:
            raise NotFoundError(
                f"The files of the checkpoint {row.name} are gone from the storage; choose another one.",
                param="checkpoint",
                code="checkpoint_not_found",
            ) from error
        _require_same(target, file, row)


def _require_same(path: Path, file: HubFile, row: Checkpoint) -> None:
    if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
        raise CheckpointDamagedError(
            f"The checkpoint {row.name} is damaged in the storage: {file.path} is not the file that its manifest "
            "describes. Publish another one.",
            param="checkpoint",
        )


def _metrics(row: Checkpoint) -> dict[str, Any]:
    """Return the figures that were measured at its step, under the names that a finished job's have."""
    measured = {name: row.metrics[key] for key, name in _FIGURES.items() if row.metrics.get(key) is not None}
    return {"tuned": measured} if measured else {}


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    """Keep a second request for the same checkpoint out: both would write the same files.

    Raises:
        ServiceUnavailableError: There is one already.
    """
    with _guard:
        if alias in _under_way:
            raise ServiceUnavailableError(
                f"{alias.partition('/')[2]} is being published right now; ask again in a moment.",
                code="publication_under_way",
            )
        _under_way.add(alias)
    try:
        yield
    finally:
        with _guard:
            _under_way.remove(alias)
