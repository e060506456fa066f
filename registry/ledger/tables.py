"""The ledger's tables. Every one but ``organizations`` and ``operator_keys`` belongs to an organisation.

Times are Unix seconds. What belongs to one job is in ``job_tables``, preparations are in
``preparation_tables``; both are known here too.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.ledger.job_tables import Attempt, Certificate, Checkpoint, Event, Lease
from registry.ledger.preparation_tables import Preparation
from registry.ledger.table_base import OfJob, Owned, Table, random_id

__all__ = [
    "ApiKey",
    "Attempt",
    "BaseModel",
    "Certificate",
    "Checkpoint",
    "DatasetUpdate",
    "Event",
    "File",
    "HubVersion",
    "Job",
    "JobSpec",
    "Lease",
    "OfJob",
    "OperatorKey",
    "Organization",
    "Owned",
    "Preparation",
    "Table",
]


class Organization(Table):
    """Whoever owns files, jobs and models.

    Attributes:
        concurrency_limit: How many of its jobs run at once in each work pool; None without a limit.
        priority: Higher is first.
        queues_are_current: Prefect's work queues show the two as they are here.
    """

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("org_"))
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float] = mapped_column(default=time.time)
    concurrency_limit: Mapped[int | None]
    priority: Mapped[int] = mapped_column(default=0)
    queues_are_current: Mapped[bool] = mapped_column(default=True)


class ApiKey(Owned, Table):
    """A key of an organisation; ``hash`` is the SHA-256 of its text, which is kept nowhere."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("key_"))
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    revoked_at: Mapped[float | None]


class OperatorKey(Table):
    """A key of whoever runs the service; belongs to no organisation."""

    __tablename__ = "operator_keys"

    hash: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[float] = mapped_column(default=time.time)


class File(Owned, Table):
    """An uploaded or made file; ``status`` is uploaded, processed or error. Deleted ones keep their row.

    Attributes:
        reading: What is declared of how to read it, as ``DatasetReading.to_json`` gives it.
        source: ``hf://owner/name[:config][@revision]`` of a data set that is fetched; its bytes come with its check.
        revision: The commit that was fetched.
        lineage: Of one that a preparation has made: ``{"preparation", "file_id", "filename", "sha256"}`` of its source.
    """

    __tablename__ = "files"
    __table_args__ = (
        UniqueConstraint("organization_id", "filename", "version"),
        Index(None, "organization_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("file-"))
    filename: Mapped[str]
    version: Mapped[int]
    purpose: Mapped[str]
    type: Mapped[str] = mapped_column(default="dataset")
    storage_key: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    format: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="uploaded", index=True)
    status_details: Mapped[str | None] = mapped_column(Text)
    report: Mapped[dict[str, Any] | None]
    records: Mapped[int | None]
    reading: Mapped[dict[str, Any] | None]
    source: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[str | None]
    lineage: Mapped[dict[str, Any] | None]
    created_at: Mapped[float] = mapped_column(default=time.time)
    deleted_at: Mapped[float | None]


class BaseModel(Owned, Table):
    """A registered base model; ``status`` is uploading, registering, ready or error."""

    __tablename__ = "base_models"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("model_"))
    name: Mapped[str]
    visibility: Mapped[str] = mapped_column(default="private")
    source: Mapped[str] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(default="local")
    path: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(default="registering")
    status_details: Mapped[str | None] = mapped_column(Text)
    architecture: Mapped[str | None]
    task: Mapped[str | None]
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    files: Mapped[dict[str, Any] | None]
    license: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=time.time)


class JobSpec(Owned, Table):
    """A saved request, for schedules and triggers; ``retrain_on_update``: a new version of its data starts a job."""

    __tablename__ = "job_specs"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("spec_"))
    name: Mapped[str]
    request: Mapped[dict[str, Any]]
    retrain_on_update: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[float] = mapped_column(default=time.time)


class DatasetUpdate(Owned, Table):
    """A new version of a file that Prefect has not kept for certain yet; the row goes when it has."""

    __tablename__ = "dataset_updates"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid4()))
    file_id: Mapped[str] = mapped_column(ForeignKey("files.id"))
    filename: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[float] = mapped_column(default=time.time)


class Job(Owned, Table):
    """A fine-tuning job.

    Attributes:
        request: What was asked for.
        spec: The whole resolved ``FineTuningSpec``; never changes once the files are checked.
        environment: Device, threads, determinism and versions of the attempt that loaded the model last.
        method: The answer's ``method``, numbers resolved.
        priority: Among the jobs of its organisation; higher is first.
        turn_at: When its turn came: from then on a slot of its pool is its own, until it ends or is paused.
        attempt: Counted up by each claim; the fence behind which older attempts can write nothing.
        reached_step: The highest step that any attempt has trained.
        fruitless_attempts: Attempts in a row, the one under way included, that trained no step beyond ``reached_step``.
        request_state: ``cancel``, ``pause``, ``resume`` (instead of the pause), ``hold`` or None: what the flow that runs
            is asked to do; of a paused or queued job, what Prefect is still to be told.
        steps_done: Names of the flow's steps that need no repetition.
        job_spec: Name of the saved spec that it was made from.
        job_spec_id: The id of that, if nothing but a name was given beside it: triggers look for its jobs. It may be gone.
        submission_run_id: The Prefect run that made it, if one did; executed again, it makes no second job.
        submission: How often the job was given to Prefect under a new idempotency key.
        status_at: When the status was set last.
        waited_seconds: How long it was waiting before that, see ``registry.job_life.job_times``; ``paused_seconds`` likewise.
        phase_seconds: How long each phase took so far, over all attempts.
        process_started_at: Start time of the process ``process_id``, which tells it from a later one of that number.
        cursors: Bytes read so far of the run directory's journals, and its number: ``{"events", "metrics", "directory"}``.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        Index(None, "organization_id", "created_at"),
        Index(None, "organization_id", "status", "created_at"),
        Index(None, "organization_id", "pool", "turn_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("ftjob-"))
    name: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    finished_at: Mapped[float | None]
    status: Mapped[str] = mapped_column(index=True)
    status_at: Mapped[float] = mapped_column(default=time.time)
    waited_seconds: Mapped[float] = mapped_column(default=0.0)
    paused_seconds: Mapped[float] = mapped_column(default=0.0)
    phase_seconds: Mapped[dict[str, float]] = mapped_column(default=dict)
    seconds_per_epoch: Mapped[list[float]] = mapped_column(default=list)
    base_model_id: Mapped[str] = mapped_column(index=True)
    base_model: Mapped[str]
    training_file_id: Mapped[str] = mapped_column(ForeignKey("files.id"), index=True)
    validation_file_id: Mapped[str | None] = mapped_column(ForeignKey("files.id"), index=True)
    tuning_method: Mapped[str]
    task: Mapped[str]
    output_model: Mapped[str | None]
    fine_tuned_model: Mapped[str | None] = mapped_column(Text)
    suffix: Mapped[str | None]
    seed: Mapped[int]
    metadata_: Mapped[dict[str, str] | None] = mapped_column("metadata")
    tags: Mapped[list[str]] = mapped_column(default=list)
    domain: Mapped[str | None]
    request: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any]]
    environment: Mapped[dict[str, Any] | None]
    method: Mapped[dict[str, Any] | None]
    pool: Mapped[str | None]
    priority: Mapped[int] = mapped_column(default=0)
    turn_at: Mapped[float | None]
    job_spec_id: Mapped[str | None] = mapped_column(index=True)
    job_spec: Mapped[str | None]
    submission_run_id: Mapped[str | None] = mapped_column(index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    reached_step: Mapped[int] = mapped_column(default=0)
    fruitless_attempts: Mapped[int] = mapped_column(default=0)
    request_state: Mapped[str | None]
    steps_done: Mapped[list[str]] = mapped_column(default=list)
    submission: Mapped[int] = mapped_column(default=0)
    flow_run_id: Mapped[str | None] = mapped_column(index=True)
    flow_run_url: Mapped[str | None] = mapped_column(Text)
    process_id: Mapped[int | None]
    process_started_at: Mapped[float | None]
    host: Mapped[str | None]
    heartbeat_at: Mapped[float | None]
    mlflow_run_id: Mapped[str | None]
    progress_artifact_id: Mapped[str | None]
    progress: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]
    trained_tokens: Mapped[int | None] = mapped_column(BigInteger)
    result_files: Mapped[list[str]] = mapped_column(default=list)
    error: Mapped[dict[str, Any] | None]
    cursors: Mapped[dict[str, int]] = mapped_column(default=lambda: {"events": 0, "metrics": 0})


class HubVersion(Owned, Table):
    """One published version of a model or adapter.

    Attributes:
        alias: ``ft:…``, which names this version alone; of a checkpoint the checkpoint's own name.
        checkpoint_step: Of a checkpoint: optimizer steps done; None of what a job publishes at its end.
        base_model_id: A registered one, or the version of a whole model that its job has tuned on: a row of one of two
            tables, which no foreign key can name. ``registry.models.dependants`` keeps both from being deleted while an adapter
            needs them; a whole model outlives what it was made of, and keeps its id as lineage.
        started_from: Name of the checkpoint or adapter whose weights, or training, its job began with.
        files: ``{path: {"bytes", "sha256"}}``, with ``stored_as`` where one lies under another name in the storage.
    """

    __tablename__ = "hub_versions"
    __table_args__ = (
        UniqueConstraint("organization_id", "name", "version"),
        UniqueConstraint("organization_id", "alias"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("hub_"))
    name: Mapped[str]
    version: Mapped[int]
    kind: Mapped[str]
    alias: Mapped[str] = mapped_column(Text)
    base_model_id: Mapped[str] = mapped_column(index=True)
    base_model: Mapped[str]
    started_from: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    checkpoint_step: Mapped[int | None]
    training_file_id: Mapped[str] = mapped_column(ForeignKey("files.id"))
    tuning_method: Mapped[str]
    task: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    files: Mapped[dict[str, Any]]
    storage_prefix: Mapped[str] = mapped_column(Text)
    mlflow_model_version: Mapped[str | None]
    visibility: Mapped[str] = mapped_column(default="private")
    domain: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[float] = mapped_column(default=time.time)
