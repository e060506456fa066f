"""Checkpoints of jobs in the storage."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.errors import NotFoundError
from afinador.schemas import checkpoints as wire
from afinador.schemas.models import HubFile
from registry.memory import Memory
from registry.pages import page
from registry.tables import Checkpoint, Job

MANIFEST = "manifest.json"
"""Written last into each checkpoint: size and SHA-256 of its files."""


def register(session: Session, job: Job, step: int, storage_key: str, metrics: dict[str, Any], size: int) -> Checkpoint:
    """Write a checkpoint down; a second time for the same job and step returns the first one.

    Args:
        session: The transaction.
        job: Whose checkpoint it is.
        step: Optimizer steps done.
        storage_key: Prefix of its files in the storage.
        metrics: ``train_loss`` and ``valid_loss`` where they were measured.
        size: Bytes of all its files.
    """
    checkpoint = Checkpoint(
        organization_id=job.organization_id,
        job_id=job.id,
        name=f"{job.spec['output']['alias']}:ckpt-step-{step}",
        step_number=step,
        storage_key=storage_key,
        metrics={**metrics, "step": step},
        bytes=size,
    )
    try:
        with session.begin_nested():
            session.add(checkpoint)
    except IntegrityError:
        return session.scalars(select(Checkpoint).where(*_at(job.id, step))).one()
    return checkpoint


def exists(session: Session, job_id: str, step: int) -> bool:
    """Tell whether the checkpoint of a step was written down."""
    return session.scalar(select(Checkpoint.id).where(*_at(job_id, step))) is not None


def prune(session: Session, job_id: str, *, keep: int, keep_best: bool = False) -> list[str]:
    """Forget the oldest checkpoints of a job, all but ``keep``, and return the storage prefixes of their files.

    With ``keep_best`` the one with the least validation loss stays besides.
    """
    newest_first = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step_number.desc())
    rows = list(session.scalars(newest_first))
    measured = [row for row in rows if row.metrics.get("valid_loss") is not None]
    best = min(measured, key=lambda row: (row.metrics["valid_loss"], row.step_number), default=None)
    gone = [row for row in rows[keep:] if not (keep_best and row is best)]
    for row in gone:
        session.delete(row)
    return [row.storage_key for row in gone]


def list_page(
    session: Session, organization_id: str, job_id: str, after: str | None = None, limit: int = 10
) -> tuple[list[Checkpoint], bool]:
    """Return a page of a job's checkpoints, newest first, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    query = select(Checkpoint).where(Checkpoint.organization_id == organization_id, Checkpoint.job_id == job_id)
    return page(session, query, [Checkpoint.step_number], key=Checkpoint.id, after=after, limit=limit)


def find(session: Session, organization_id: str, job_id: str, reference: str) -> Checkpoint:
    """Return a checkpoint of a job by its id or by its step.

    Raises:
        NotFoundError: The job has no such checkpoint; names the steps of those it has.
    """
    mine = (Checkpoint.organization_id == organization_id, Checkpoint.job_id == job_id)
    rows = list(session.scalars(select(Checkpoint).where(*mine).order_by(Checkpoint.step_number)))
    for row in rows:
        if reference in (row.id, str(row.step_number)):
            return row
    steps = ", ".join(str(row.step_number) for row in rows) or "none yet"
    raise NotFoundError(
        f"The job has no checkpoint {reference!r}; it has, by step: {steps}.",
        param="checkpoint",
        code="checkpoint_not_found",
    )


def files_of(memory: Memory, row: Checkpoint) -> list[HubFile]:
    """Return the files of a checkpoint, by path, as its manifest states them.

    Raises:
        StorageError: The storage does not answer.
    """
    with memory.storage.open(f"{row.storage_key}/{MANIFEST}") as stream:
        stated = json.load(stream)["files"]
    return [HubFile(path=path, **stated[path]) for path in sorted(stated)]


def to_wire(row: Checkpoint) -> wire.Checkpoint:
    """Return a checkpoint as it is answered."""
    return wire.Checkpoint(
        id=row.id,
        created_at=int(row.created_at),
        fine_tuning_job_id=row.job_id,
        job_id=row.job_id,
        step_number=row.step_number,
        fine_tuned_model_checkpoint=row.name,
        metrics=row.metrics,
    )


def _at(job_id: str, step: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Checkpoint.job_id == job_id, Checkpoint.step_number == step
