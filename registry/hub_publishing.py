"""Into the hub: the ``MLmodel`` file, the manifest, the storage, MLflow's entry, and last the ledger's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, ModelError, UnsupportedModelError
from afinador.models.headers import PICKLE_SUFFIXES, hash_of_files
from afinador.storage import require_free_space, sha256_of
from registry import events, mlflow_models, promotion
from registry.experiments import Experiments
from registry.memory import Memory
from registry.mlflow_classifiers import FOR_MLFLOW_ALONE
from registry.tables import HubVersion, Job

_NEEDED = {"adapter": ("adapter_config.json", "adapter_model.safetensors"), "model": ("config.json",)}
_NOT_OURS = "registered_model_meta"  # MLflow leaves it beside an MLmodel that was loaded from there
_INSERT_ATTEMPTS = 3

logger = logging.getLogger(__name__)


def publish(
    session: Session,
    memory: Memory,
    experiments: Experiments,
    job: Job,
    final_folder: Path,
    metrics: dict[str, Any],
) -> HubVersion:
    """Publish what a job made as the newest version of its output name.

    Idempotent by job. Whatever fails, the files are removed again and MLflow's entry with them.

    Args:
        session: Used for the last step only, so that no lock is held while files are copied; give a fresh one.
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
    if (published := _of_job(memory, job.id)) is not None:
        return published
    spec = FineTuningSpec.model_validate(job.spec)
    _require_publishable(final_folder, spec.output.kind)
    mlflow_models.write_mlmodel(final_folder, spec, spec.base_model.path)
    row = _row(spec, _manifest(final_folder), metrics)
    decision = promotion.decide(memory, experiments, spec, metrics)
    try:
        _store(memory, final_folder, row)
        row.mlflow_model_version = mlflow_models.create_version(
            experiments,
            spec,
            memory.storage.uri(row.storage_prefix),
            run_id=job.mlflow_run_id,
            tags={"manifest_sha256": hash_of_files(row.files)},
            held_back=None if decision is None or decision.is_champion else decision.message,
        )
        if decision is not None:
            events.append(session, job.id, decision.message, data=decision.data, dedup_key="promotion")
        return _insert(session, row)
    except Exception:
        # Another attempt of the same job may have been faster: then these are its files.
        if (published := _of_job(memory, job.id)) is not None:
            return published
        _withdraw(memory, experiments, spec, row)
        raise


def _of_job(memory: Memory, job_id: str) -> HubVersion | None:
    with memory.database.reading() as session:
        return session.scalars(select(HubVersion).where(HubVersion.job_id == job_id)).first()


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
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    shown = files.pop(mlflow_models.SHOWN_MLMODEL, None)
    manifest = {
        name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for name, path in files.items()
        if path.name != _NOT_OURS and name not in FOR_MLFLOW_ALONE
    }
    if shown is not None:
        other = {"bytes": shown.stat().st_size, "sha256": sha256_of(shown), "stored_as": mlflow_models.SHOWN_MLMODEL}
        manifest["MLmodel"] = other
    return manifest


def _row(spec: FineTuningSpec, files: dict[str, Any], metrics: dict[str, Any]) -> HubVersion:
    return HubVersion(
        organization_id=spec.organization_id,
        name=spec.output.name,
        kind=spec.output.kind,
        alias=spec.output.alias,
        base_model_id=spec.base_model.model_id,
        base_model=spec.base_model.name,
        job_id=spec.job_id,
        training_file_id=spec.training_file.file_id,
        tuning_method=spec.tuning_method,
        task=spec.task,
        parameters=spec.hyperparameters.model_dump(exclude_none=True),
        metrics=metrics,
        files=files,
        # By job and not by version, which is counted last: two jobs may publish under one name at the same time.
        storage_prefix=f"{spec.organization_id}/hub/{spec.output.name}/{spec.job_id}",
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
