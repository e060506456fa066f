"""Checkpoints of jobs in the storage."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.spec import Output
from afinador.errors import NotFoundError, nearest
from afinador.schemas import checkpoints as wire
from afinador.schemas.events import with_openai_names
from afinador.schemas.jobs import OPEN_STATUSES
from afinador.schemas.models import HubFile
from registry.ledger.pages import page
from registry.ledger.tables import Checkpoint, Job
from registry.memory import Memory

MANIFEST = "manifest.json"
"""Written last into each checkpoint: size and SHA-256 of its files."""


def register(session: Session, job: Job, step: int, storage_key: str, metrics: dict[str, Any], size: int) -> Checkpoint:
    """Write a checkpoint down; a second time for the same job and step returns the first one.

    Args:
        session: The transaction.
        job: Whose checkpoint it is.
        step: Optimizer steps done.
        storage_key: Prefix of its files in the storage.
        metrics: ``train_loss`` and ``valid_loss`` where they were measured, ``best_step`` of the training so far.
        size: Bytes of all its files.
    """
    checkpoint = Checkpoint(
        organization_id=job.organization_id,
        job_id=job.id,
        name=Output.model_validate(job.spec["output"]).alias_of_step(step),
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


def add_figures(session: Session, job_id: str, step: int, figures: dict[str, Any]) -> None:
    """Add what was measured after a checkpoint was written down, if there is one of that step; nothing is replaced."""
    row = session.scalars(select(Checkpoint).where(*_at(job_id, step))).one_or_none()
    if row is not None:
        row.metrics = {**figures, **row.metrics}


def prune(session: Session, job_id: str, *, keep: int) -> list[str]:
    """Forget the oldest checkpoints of a job, all but ``keep``, and return the storage prefixes of their files.

    The best one stays besides: that of the ``best_step`` that the newest names, else the one with the least validation
    loss. Those that an open job starts from stay, too.
    """
    newest_first = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step_number.desc())
    rows = list(session.scalars(newest_first.with_for_update()))
    needed = _needed(session, rows[0].organization_id) if rows[keep:] else set()
    best = _best(rows)
    gone = [row for row in rows[keep:] if row is not best and row.storage_key not in needed]
    for row in gone:
        session.delete(row)
    return [row.storage_key for row in gone]


def _best(newest_first: list[Checkpoint]) -> Checkpoint | None:
    best_step = newest_first[0].metrics.get("best_step") if newest_first else None
    for row in newest_first:
        if row.step_number == best_step:
            return row
    measured = [row for row in newest_first if row.metrics.get("valid_loss") is not None]
    return min(measured, key=lambda row: (row.metrics["valid_loss"], row.step_number), default=None)


def _needed(session: Session, organization_id: str) -> set[str]:
    """Return the storage prefixes of all checkpoints that jobs of an organisation start from and have not ended."""
    places = [Job.spec[path].as_string() for path in (("start_from", "path"), ("start_from", "best", "path"))]
    is_open = (Job.organization_id == organization_id, Job.status.in_(OPEN_STATUSES))
    return {place for row in session.execute(select(*places).where(*is_open)) for place in row if place}


def newest_first(session: Session, job_id: str) -> list[Checkpoint]:
    """Return all checkpoints of a job."""
    query = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step_number.desc())
    return list(session.scalars(query))


def forget(session: Session, checkpoint_id: str) -> None:
    """Remove a checkpoint whose files are not what was saved, so that its step may be written down again."""
    session.execute(delete(Checkpoint).where(Checkpoint.id == checkpoint_id))


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


def find_named(session: Session, organization_id: str, reference: str, *, param: str) -> Checkpoint:
    """Return a checkpoint of any job by its id or its name as a model, and hold it until the transaction ends.

    Raises:
        NotFoundError: The organisation has no such checkpoint; names the nearest.
    """
    mine = select(Checkpoint).where(Checkpoint.organization_id == organization_id)
    meant = mine.where(or_(Checkpoint.id == reference, Checkpoint.name == reference))
    # Held, so that it is not pruned before the job that starts from it can be seen.
    found = session.scalars(meant.order_by(Checkpoint.created_at.desc()).with_for_update(read=True)).first()
    if found is None:
        newest = mine.with_only_columns(Checkpoint.name).order_by(Checkpoint.created_at.desc()).limit(1000)
        raise NotFoundError(
            f"There is no checkpoint {reference!r} in this organization.{nearest(reference, session.scalars(newest))} "
            "Name it by its id (ftckpt_…) or as a model (ft:…:ckpt-step-N). Of older checkpoints a job keeps the newest "
            "save_total_limit and the best one; `afinador list checkpoint JOB` shows them.",
            param=param,
            code="checkpoint_not_found",
        )
    return found


def manifest(memory: Memory, row: Checkpoint, *, param: str = "checkpoint") -> bytes:
    """Return the manifest of a checkpoint as it is stored.

    Raises:
        NotFoundError: Its files are gone.
        StorageError: The storage does not answer.
    """
    try:
        with memory.storage.open(f"{row.storage_key}/{MANIFEST}") as stream:
            return stream.read()
    except NotFoundError as error:
        raise NotFoundError(
            f"The files of the checkpoint {row.name} are gone from the storage; choose another one.",
            param=param,
            code="checkpoint_not_found",
        ) from error


def files_of(memory: Memory, row: Checkpoint) -> list[HubFile]:
    """Return the files of a checkpoint, by path, as its manifest states them.

    Raises:
        NotFoundError: They are gone.
        StorageError: The storage does not answer.
    """
    stated = json.loads(manifest(memory, row))["files"]
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
        metrics=with_openai_names(row.metrics),
    )


def _at(job_id: str, step: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Checkpoint.job_id == job_id, Checkpoint.step_number == step
