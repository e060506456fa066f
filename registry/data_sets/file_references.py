"""What people mean by the words that they name a file with."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Select, and_, not_, select
from sqlalchemy.orm import Session

from afinador.data.quoting import shortened
from afinador.errors import InvalidRequestError, NotFoundError, nearest
from afinador.schemas.dataset_formats import HUB_SCHEME
from registry.data_sets.hub_datasets import find_fetched
from registry.data_sets.new_files import LONGEST_NAME, RESULT_PURPOSE, TRAINING_PURPOSE
from registry.ledger.tables import File


def find(session: Session, organization_id: str, reference: str, *, param: str = "file") -> File:
    """Return a file by id, by name, by name without extension, or by ``hf://…``: the newest that is not deleted.

    Args:
        session: The transaction to read in.
        organization_id: Whose file it is.
        reference: Id, name, or source on the Hugging Face Hub.
        param: The field of the request that named it, for the error.

    Raises:
        NotFoundError: The organisation has no such file; names the nearest.
    """
    query = live(organization_id)
    if reference.startswith(HUB_SCHEME):
        fetched = find_fetched(session, organization_id, reference, param=param)
        if fetched is not None:
            return fetched
    found = _of_id(session, query, reference) or _newest_named(session, query, organization_id, reference)
    if found is not None:
        return found
    never_fetched = and_(File.source.is_not(None), File.revision.is_(None), File.status == "error")
    names = session.scalars(query.where(not_(never_fetched)).with_only_columns(File.filename).distinct().limit(1000))
    raise NotFoundError(
        f"There is no file {shortened(reference)} in this organization.{nearest(reference, names)} Upload it first.",
        param=param,
        code="file_not_found",
    )


def find_data_set(session: Session, organization_id: str, reference: str, *, param: str = "file") -> File:
    """Return a file that may be trained on, named as for ``find``; a name means its newest version that may.

    Args:
        session: The transaction to read in.
        organization_id: Whose file it is.
        reference: Id, name, or source on the Hugging Face Hub.
        param: The field of the request that named it, for the error.

    Raises:
        NotFoundError: The organisation has no such file; names the nearest.
        InvalidRequestError: What it has of this id or name was uploaded for something else, or made by a job.
    """
    found = find(session, organization_id, reference, param=param)
    if found.purpose == TRAINING_PURPOSE:
        return found
    if found.id != reference:
        query = live(organization_id).where(File.purpose == TRAINING_PURPOSE)
        if (trainable := _newest_named(session, query, organization_id, reference)) is not None:
            return trainable
    if found.purpose == RESULT_PURPOSE:
        raise InvalidRequestError(
            f"{found.filename} ({found.id}) is the result file of a job, not a data set.", param=param
        )
    raise InvalidRequestError(
        f"{found.filename} ({found.id}) was uploaded with the purpose {found.purpose!r}; a data set has the purpose "
        f"{TRAINING_PURPOSE!r}. Upload it again with that purpose.",
        param=param,
    )


def find_deleted(session: Session, organization_id: str, reference: str) -> File | None:
    """Return what a reference meant before its file was deleted: the newest version; None if it never meant any.

    A name means what may be trained on.
    """
    query = select(File).where(File.organization_id == organization_id, File.deleted_at.is_not(None))
    trainable = query.where(File.purpose == TRAINING_PURPOSE)
    return _of_id(session, query, reference) or _newest_named(session, trainable, organization_id, reference)


def live(organization_id: str) -> Select[Any]:
    """Return the query of an organisation's files that are not deleted."""
    return select(File).where(File.organization_id == organization_id, File.deleted_at.is_(None))


def _of_id(session: Session, query: Select[Any], reference: str) -> File | None:
    return session.scalars(query.where(File.id == reference)).first()


def _newest_named(session: Session, query: Select[Any], organization_id: str, reference: str) -> File | None:
    if len(reference) > LONGEST_NAME:  # of which SQLite makes no pattern
        return None
    exact = session.scalars(query.where(File.filename == reference).order_by(File.version.desc())).first()
    if exact is not None:
        return exact
    stem = reference.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    # The names alone are in an index; the rows, which are large, are read of those that are meant.
    names = select(File.filename).where(
        File.organization_id == organization_id, File.filename.like(f"{stem}.%", escape="\\")
    )
    meant = [name for name in session.scalars(names.distinct()) if PurePosixPath(name).stem == reference]
    # Ordered here: asked for the newest, SQLite goes through all files by their time instead.
    columns = (File.created_at, File.version, File.id)
    found = session.execute(query.with_only_columns(*columns).where(File.filename.in_(meant))).all()
    return session.get(File, max(found).id) if found else None
