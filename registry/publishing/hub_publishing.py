"""Into the hub: the ``MLmodel`` file, the manifest, the storage, MLflow's entry, and last the ledger's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, ModelError, UnsupportedModelError
from afinador.models.headers import PICKLE_SUFFIXES, hash_of_files
from afinador.storage import require_free_space, sha256_of
from registry.job_life import events
from registry.ledger.tables import HubVersion, Job
from registry.memory import Memory
from registry.models.base_model_folders import local_folder
from registry.publishing import promotion
from registry.tracking import mlflow_models
from registry.tracking.experiments import Experiments
from registry.tracking.mlflow_classifiers import FOR_MLFLOW_ALONE

_NEEDED = {"adapter": ("adapter_config.json", "adapter_model.safetensors"), "model": ("config.json",)}
_NOT_OURS = "registered_model_meta"  # MLflow leaves it beside an MLmodel that was loaded from there
_INSERT_ATTEMPTS = 3

logger = logging.getLogger(__name__)


def publish(
    memory: Memory, experiments: Experiments, job: Job, final_folder: Path, metrics: dict[str, Any]
) -> HubVersion:
    """Publish what a job made as the newest version of its output name.

    Idempotent by job. Whatever fails, the files are removed again and MLflow's entry with them. The ledger is locked for
    the last step only, not while files are copied.

    Args:
        memory: Ledger and storage.
        experiments: MLflow.
        job: Its spec says what was made and how it is called.
        final_folder: What is published; ``MLmodel`` is written into it.
        metrics: Base against tuned.

    Raises:
        UnsupportedModelError: A file has a form that may run code when it is read.
        ModelError: The folder lacks what its kind needs.
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage does not answer; may be repeated.
        ServiceUnavailableError: MLflow does not answer; may be repeated.
    """
    spec = FineTuningSpec.model_validate(job.spec)
    return publish_as(memory, experiments, spec, final_folder, metrics, run_id=job.mlflow_run_id)


def publish_as(
    memory: Memory,
    experiments: Experiments,
    spec: FineTuningSpec,
    folder: Path,
    metrics: dict[str, Any],
    *,
    run_id: str | None,
    step: int | None = None,
) -> HubVersion:
    """Publish a folder under the name, and as the one version, that ``spec.output`` says; see ``publish``.

    Args:
        memory: As above.
        experiments: As above.
        spec: What was trained. A version of its alias that is there already is returned, whatever its name is.
        folder: As above.
        metrics: As above.
        run_id: The job's run in MLflow, if it has one.
        step: Of a checkpoint: optimizer steps done.
    """
    if (published := version_of(memory, spec.organization_id, spec.output.alias)) is not None:
        return published
    _require_publishable(folder, spec.output.kind)
    mlflow_models.write_mlmodel(folder, spec, str(local_folder(memory, spec.base_model)))
    row = _row(spec, _manifest(folder), metrics, step)
    decision = promotion.decide(memory, experiments, spec, metrics)
    of_checkpoint = {} if step is None else {"checkpoint_step": str(step)}
    try:
        _store(memory, folder, row)
        row.mlflow_model_version = mlflow_models.create_version(
            experiments,
            spec,
            memory.storage.uri(row.storage_prefix),
            run_id=run_id,
            tags={"manifest_sha256": hash_of_files(row.files), **of_checkpoint},
            held_back=None if decision is None or decision.is_champion else decision.message,
        )
        with memory.database.session() as session:
            if decision is not None:
                key = "promotion" if step is None else None  # a checkpoint may be deleted, and published again
                events.append(session, spec.job_id, decision.message, data=decision.data, dedup_key=key)
            return _insert(session, row)
    except Exception:
        # Another attempt of the same job may have been faster: then these are its files.
        if (published := version_of(memory, spec.organization_id, spec.output.alias)) is not None:
            return published
        _withdraw(memory, experiments, spec, row)
        raise


def version_of(memory: Memory, organization_id: str, alias: str) -> HubVersion | None:
    """Return the version of an alias, or None when it is not published."""
    mine = (HubVersion.organization_id == organization_id, HubVersion.alias == alias)
    with memory.database.reading() as session:
        return session.scalars(select(HubVersion).where(*mine)).first()


def _require_publishable(folder: Path, kind: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    pickled = sorted(path.name for path in files if path.suffix in PICKLE_SUFFIXES)
    if pickled:
        raise UnsupportedModelError(
            f"The result holds {', '.join(pickled)}, in a form that may run code when it is read; only safetensors are "
            "published. Save with safe_serialization, and remove these files."
        )
    missing = [name for name in _NEEDED[kind] if not (folder / name).is_file()]
    if missing or not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(f"The result is no complete {kind}: {', '.join(missing) or 'safetensors weights'} missing.")


def _manifest(folder: Path) -> dict[str, Any]:
    stored = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    manifest: dict[str, Any] = {}
    for name, stored_as in listed_files(stored).items():
        path = folder / stored_as
        manifest[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        if stored_as != name:
            manifest[name]["stored_as"] = stored_as
    return manifest


def listed_files(stored: Iterable[str]) -> dict[str, str]:
    """Return which of the files of a published folder are listed, and as what lies stored there; MLflow's own are not.

    Args:
        stored: Names of all files below the folder.
    """
    files = {name: name for name in stored if not (name.endswith(_NOT_OURS) or name in FOR_MLFLOW_ALONE)}
    if files.pop(mlflow_models.SHOWN_MLMODEL, None) is not None:
        files["MLmodel"] = mlflow_models.SHOWN_MLMODEL
    return files


def _row(spec: FineTuningSpec, files: dict[str, Any], metrics: dict[str, Any], step: int | None) -> HubVersion:
    place = spec.job_id if step is None else f"{spec.job_id}-step-{step:06d}"
    return HubVersion(
        organization_id=spec.organization_id,
        name=spec.output.name,
        kind=spec.output.kind,
        alias=spec.output.alias,
        base_model_id=spec.base_model.model_id,
        base_model=spec.base_model.name,
        started_from=spec.start_from and spec.start_from.name,
        job_id=spec.job_id,
        checkpoint_step=step,
        training_file_id=spec.training_file.file_id,
        tuning_method=spec.tuning_method,
        task=spec.task,
        parameters=spec.hyperparameters.model_dump(exclude_none=True),
        metrics=metrics,
        files=files,
        # By job and not by version, which is counted last: two jobs may publish under one name at the same time.
        storage_prefix=f"{spec.organization_id}/hub/{spec.output.name}/{place}",
        domain=spec.domain,
        tags=spec.tags,
    )


def _store(memory: Memory, folder: Path, row: HubVersion) -> None:
    if (place := memory.storage.local_path(row.storage_prefix)) is not None:
        require_free_space(place, sum(file["bytes"] for file in row.files.values()), f"Publishing {row.name}")
    beside = (*FOR_MLFLOW_ALONE, mlflow_models.SHOWN_MLMODEL)
    for path in (*row.files, *(name for name in beside if (folder / name).is_file())):
        memory.storage.put_file(folder / path, f"{row.storage_prefix}/{path}")


def _insert(session: Session, row: HubVersion) -> HubVersion:
    versions = select(func.max(HubVersion.version)).where(
        HubVersion.organization_id == row.organization_id, HubVersion.name == row.name
    )
    for attempt in range(1, _INSERT_ATTEMPTS + 1):
        row.version = (session.scalar(versions) or 0) + 1
        try:
            with session.begin_nested():
                session.add(row)
            return row
        except IntegrityError:
            # On PostgreSQL another job may have taken this number just now.
            if attempt == _INSERT_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _withdraw(memory: Memory, experiments: Experiments, spec: FineTuningSpec, row: HubVersion) -> None:
    """Remove what a failed publication left; what cannot be removed now is overwritten when it is tried again."""
    try:
        memory.storage.delete(row.storage_prefix)
        if row.mlflow_model_version is not None:
            mlflow_models.delete_version(experiments, spec.organization, row.name, row.mlflow_model_version)
    except AfinadorError as error:
        logger.warning("Left behind by the failed publication of %s: %s", spec.job_id, error.message)
