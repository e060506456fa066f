"""The fields of the request of a job, and of one that is saved, as the SDK takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from afinador.schemas.jobs import StartState, Task, TuningMethod


class FieldsOfBoth(TypedDict, total=False):
    """What jobs and saved job specs take: fields of ``afinador.schemas.jobs.JobRequest``; None is as good as left out.

    Of each two names of one field, give one: ``base_model`` or ``model``, ``dataset`` or ``training_file``,
    ``validation_dataset`` or ``validation_file``.
    """

    base_model: str | None
    model: str | None
    output_model: str | None
    suffix: str | None
    validation_reading: Mapping[str, Any] | None
    seed: int | None
    metadata: Mapping[str, str] | None
    hyperparameters: Mapping[str, Any] | None
    method: Mapping[str, Any] | None
    tuning_method: TuningMethod | None
    task: Task | None
    config: Mapping[str, Any] | None
    from_checkpoint: str | None
    from_checkpoint_state: StartState | None
    pool: Literal["gpu", "cpu"] | None
    priority: int | None
    domain: str | None
    tags: Sequence[str] | None
    integrations: Sequence[Any] | None


class JobFields(FieldsOfBoth, total=False):
    """What ``jobs.create`` takes. A ``Path`` is a file of this machine; all else wins over the saved ``job_spec``."""

    name: str | None
    dataset: str | Path | None
    training_file: str | Path | None
    validation_dataset: str | Path | None
    validation_file: str | Path | None
    job_spec: str | None


class SavedJobFields(FieldsOfBoth, total=False):
    """What ``job_specs.create`` saves: no ``name``, for each job has its own, no other saved request and no local files."""

    dataset: str | None
    training_file: str | None
    validation_dataset: str | None
    validation_file: str | None
