"""The tables of what belongs to one job."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.ledger.table_base import OfJob, Table, random_id


class Attempt(OfJob, Table):
    """One execution of a job's flow; ``end`` is succeeded, failed, cancelled, lost, held or paused."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("attempt_"))
    number: Mapped[int]
    started_at: Mapped[float] = mapped_column(default=time.time)
    ended_at: Mapped[float | None]
    end: Mapped[str | None]
    host: Mapped[str | None]
    process_id: Mapped[int | None]
    flow_run_id: Mapped[str | None]


class Checkpoint(OfJob, Table):
    """A complete checkpoint in the storage; ``name`` is its name as a model, ``…:ckpt-step-N``."""

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("job_id", "step_number"), Index(None, "organization_id", "name"))

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("ftckpt_"))
    name: Mapped[str] = mapped_column(Text)
    step_number: Mapped[int]
    storage_key: Mapped[str] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]]
    bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Event(OfJob, Table):
    """What happened in a job; ``sequence`` counts from 1 without gaps."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("job_id", "sequence"), UniqueConstraint("job_id", "dedup_key"))

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("ftevent-"))
    sequence: Mapped[int]
    level: Mapped[str]
    type: Mapped[str]
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[float] = mapped_column(default=time.time)
    dedup_key: Mapped[str | None]


class Certificate(OfJob, Table):
    """A proof on a job: ``type`` is resume or reproduction; asked for, under way or made.

    Attributes:
        status: queued, running, succeeded (it was made, whatever it says), failed or cancelled.
        steps: Optimizer steps of a proof of exact resume.
        submission: Counted up when it is given to Prefect anew, see ``registry.certificates.MAX_SUBMISSIONS``.
        request_state: ``hold``: stop and go back to the queue.
        document: The certificate as it was made, ``equal`` among it; also in the storage.
    """

    __tablename__ = "certificates"

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("certificate_"))
    type: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued", index=True)
    steps: Mapped[int | None]
    created_at: Mapped[float] = mapped_column(default=time.time)
    finished_at: Mapped[float | None]
    submission: Mapped[int] = mapped_column(default=0)
    pool: Mapped[str | None]
    flow_run_id: Mapped[str | None]
    flow_run_url: Mapped[str | None] = mapped_column(Text)
    process_id: Mapped[int | None]
    process_started_at: Mapped[float | None]
    host: Mapped[str | None]
    heartbeat_at: Mapped[float | None]
    request_state: Mapped[str | None]
    error: Mapped[dict[str, Any] | None]
    document: Mapped[dict[str, Any] | None]


class Lease(OfJob, Table):
    """A device that an attempt of a job holds, or the making of a certificate, whose attempt is 0."""

    __tablename__ = "leases"

    host: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    certificate_id: Mapped[str | None] = mapped_column(ForeignKey("certificates.id"))
    taken_at: Mapped[float] = mapped_column(default=time.time)
