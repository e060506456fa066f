"""Preparations of data sets: asked for, done by a flow, and what they made.

::

    queued ──► running ──► succeeded | failed | cancelled
       ▲           │
       └───────────┘ (its process died, or the service went down)

Functions that a flow calls go by the preparation's id alone; whoever knows one got it from the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of
from afinador.data.files.writers import EXTENSIONS
from afinador.data.preparation import Means, Pipeline, Prepared, format_of_name, prepared_name, reported
from afinador.errors import AfinadorError, IllegalTransitionError, InvalidRequestError, NotFoundError
from afinador.schemas import preparations as wire
from registry.creation import job_bases
from registry.data_sets import files, new_files
from registry.ledger.database import changes
from registry.ledger.pages import page
from registry.ledger.tables import File, Preparation
from registry.memory import Memory

End = Literal["succeeded", "failed", "cancelled"]

MAX_SUBMISSIONS = 3
"""A preparation whose process dies so often is not tried again."""


def create(session: Session, memory: Memory, organization_id: str, request: wire.PrepareRequest) -> Preparation:
    """Ask for a data set to be prepared.

    Raises:
        NotFoundError: The organisation has no such file or base model, or no file that a step names.
        InvalidRequestError: A step is unknown or has a bad value, the output's name says no format, or a file is no
            data set; see ``files.find_data_set``.
        ModelError: The base model is not ready.
    """
    file = files.find_data_set(session, organization_id, request.file, param="file")
    pipeline = Pipeline(request.steps, _announced_means(session, memory, organization_id, request.base_model))
    for reference in pipeline.documents:
        files.find_data_set(session, organization_id, reference, param="steps")
    output = request.output or _default_output(file)
    format_of_name(output)
    if files.checked_name(output) != output:
        raise InvalidRequestError(
            f"output is {output[:80]!r}; it names a file of the organisation, so leave folders out.", param="output"
        )
    steps = request.steps["steps"] if isinstance(request.steps, dict) else request.steps
    kept = {"steps": steps} if request.base_model is None else {"steps": steps, "base_model": request.base_model}
    row = Preparation(organization_id=organization_id, file_id=file.id, pipeline=kept, output=output)
    session.add(row)
    session.flush()
    return row


def _announced_means(session: Session, memory: Memory, organization_id: str, base_model: str | None) -> Means:
    """Return means that let steps be read and not be taken; a base model is looked for."""
    means = Means(read_documents=lambda _: ())
    if base_model is None:
        return means
    try:
        job_bases.find(session, memory, organization_id, base_model)
    except AfinadorError as error:
        error.param = "base_model"
        raise
    return replace(means, count_tokens=lambda _: 0, tokenise=lambda *_: [])


def _default_output(file: File) -> str:
    name = PurePosixPath(file.filename).name
    format = file.format or FORMATS_BY_EXTENSION.get(extension_of(name))
    return prepared_name(name, next((written for written in EXTENSIONS if written == format), "jsonl"))


def find(session: Session, organization_id: str, preparation: str) -> Preparation:
    """Return a preparation.

    Raises:
        NotFoundError: The organisation has no such one.
    """
    query = select(Preparation).where(Preparation.organization_id == organization_id, Preparation.id == preparation)
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"There is no preparation {preparation!r} in this organization.", param="preparation")
    return found


def list_page(
    session: Session, organization_id: str, after: str | None = None, limit: int = 20
) -> tuple[list[Preparation], bool]:
    """Return a page of an organisation's preparations, newest first, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    query = select(Preparation).where(Preparation.organization_id == organization_id)
    return page(session, query, [Preparation.created_at, Preparation.id], key=Preparation.id, after=after, limit=limit)


def cancel(session: Session, organization_id: str, preparation: str) -> Preparation:
    """Cancel a preparation; its process sees it within seconds, and nothing of it is kept. Asking twice is as good as once.

    Raises:
        NotFoundError: The organisation has no such one.
        IllegalTransitionError: It has succeeded or failed.
    """
    row = find(session, organization_id, preparation)
    finish(session, row.id, "cancelled")
    session.refresh(row)
    if row.status != "cancelled":
        raise IllegalTransitionError(
            f"{row.id} has {row.status}; a preparation can be cancelled while it is queued or running.",
            param="preparation",
        )
    return row


def to_wire(session: Session, row: Preparation) -> wire.Preparation:
    """Return a preparation as it is answered."""
    return all_to_wire(session, [row])[0]


def all_to_wire(session: Session, rows: Sequence[Preparation]) -> list[wire.Preparation]:
    """Return preparations as they are answered; their files are looked up at once, and without their reports."""
    wanted = {file_id for row in rows for file_id in (row.file_id, *row.outputs)}
    columns = (File.id, File.filename, File.records, File.bytes)
    named = {file.id: file for file in session.execute(select(*columns).where(File.id.in_(wanted)))}
    return [_to_wire(row, named) for row in rows]


def _to_wire(row: Preparation, named: Mapping[str, Any]) -> wire.Preparation:
    report = row.report or {}
    made = [(named[file_id], part) for file_id, part in row.outputs.items()]
    return wire.Preparation(
        id=row.id,
        created_at=int(row.created_at),
        finished_at=None if row.finished_at is None else int(row.finished_at),
        status=row.status,  # type: ignore[arg-type]
        file=row.file_id,
        filename=named[row.file_id].filename,
        output=row.output,
        pipeline=row.pipeline["steps"],
        base_model=row.pipeline.get("base_model"),
        records=report.get("records"),
        steps=report.get("steps", []),
        output_files=[
            wire.PreparedFile(
                id=file.id, filename=file.filename, part=part or None, records=file.records, bytes=file.bytes
            )
            for file, part in made
        ],
        run_url=row.flow_run_url,
        error=row.error,
    )


def claim(session: Session, preparation_id: str, flow_run_id: str, process: Mapping[str, Any]) -> Preparation | None:
    """Begin with a preparation; None when it is done already, or by another run.

    Args:
        session: The transaction.
        preparation_id: Which one.
        flow_run_id: The run that it was given to.
        process: ``process_id``, ``process_started_at`` and ``host`` of the caller.
    """
    mine = (Preparation.id == preparation_id, Preparation.status == "queued", Preparation.flow_run_id == flow_run_id)
    statement = update(Preparation).where(*mine).values(status="running", heartbeat_at=time.time(), **process)
    if not changes(session, statement):
        return None
    return session.get_one(Preparation, preparation_id, populate_existing=True)


def beat(session: Session, row: Preparation) -> bool:
    """Say that the flow lives; False when the preparation is no longer its own."""
    return changes(session, update(Preparation).where(*_mine(row)).values(heartbeat_at=time.time()))


def succeed(memory: Memory, row: Preparation, prepared: Prepared) -> list[File]:
    """Keep what was made as new files, with the lineage to their source, and end the preparation.

    The bytes are copied before the transaction begins, so that large files hold nobody up; they go if it fails.

    Raises:
        IllegalTransitionError: The preparation was cancelled, or is no longer the caller's; nothing is kept.
        StorageError: The storage refuses or does not answer.
    """
    with memory.database.reading() as session:
        source = session.get_one(File, row.file_id)
    lineage = {"preparation": row.id, "file_id": source.id, "filename": source.filename, "sha256": source.sha256}
    made: dict[File, str] = {}
    try:
        for each in prepared.files:
            content = (each.path, each.path.name, source.purpose, each.sha256, each.bytes)
            file = new_files.stored(memory, row.organization_id, *content, lineage=lineage)
            file.records = each.records
            made[file] = each.part or ""
        with memory.database.session() as session:
            _end_with(session, row, prepared, made)
    except BaseException:
        for file in made:
            memory.storage.delete(file.storage_key)
        raise
    return list(made)


def _end_with(session: Session, row: Preparation, prepared: Prepared, made: Mapping[File, str]) -> None:
    for file in made:
        new_files.insert(session, file)
    report = {"records": prepared.read, "steps": reported(prepared.steps)}
    ended = {"status": "succeeded", "finished_at": time.time(), "report": report}
    outputs = {file.id: part for file, part in made.items()}
    if not changes(session, update(Preparation).where(*_mine(row)).values(**ended, outputs=outputs)):
        raise IllegalTransitionError(
            f"{row.id} was cancelled, or is prepared by another run by now; nothing of this one is kept."
        )


def finish(
    session: Session,
    preparation_id: str,
    status: End,
    error: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
) -> bool:
    """End a preparation without a result, but perhaps with what its steps did; False when it has ended before."""
    is_open = (Preparation.id == preparation_id, Preparation.status.in_(("queued", "running")))
    ended = {"status": status, "finished_at": time.time(), "error": error, "report": report}
    return changes(session, update(Preparation).where(*is_open).values(**ended))


def requeue(session: Session, preparation_id: str) -> bool:
    """Have a preparation done anew by a new run; it fails when that was tried often enough.

    Returns:
        False when it is not open, or has failed now.
    """
    row = session.get(Preparation, preparation_id, populate_existing=True)
    if row is None or row.status not in ("queued", "running"):
        return False
    if row.submission + 1 >= MAX_SUBMISSIONS:
        message = (
            f"The process that prepared the data set has ended before it was done, {MAX_SUBMISSIONS} times. "
            "Its memory or disk may be too small; prepare less at once."
        )
        finish(session, row.id, "failed", {"code": "attempts_exhausted", "message": message, "param": None})
        return False
    row.status, row.submission = "queued", row.submission + 1
    row.flow_run_id = row.flow_run_url = row.process_id = row.process_started_at = row.host = None
    return True


def ids_of_runs(session: Session) -> Sequence[str]:
    """Return the ids of all Prefect runs that were given open preparations, of all organisations."""
    is_open = (Preparation.status.in_(("queued", "running")), Preparation.flow_run_id.is_not(None))
    return [str(run_id) for run_id in session.scalars(select(Preparation.flow_run_id).where(*is_open))]


def _mine(row: Preparation) -> tuple[Any, ...]:
    return Preparation.id == row.id, Preparation.status == "running", Preparation.flow_run_id == row.flow_run_id
