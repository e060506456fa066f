"""The hub: versions of models and adapters that jobs made. Files in the storage, an entry here and one in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, event, func, or_, select, tuple_
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from afinador.errors import AfinadorError, NotFoundError, nearest
from afinador.schemas.models import HubEntry, HubFile
from registry.ledger.database import after_commit
from registry.ledger.pages import page
from registry.ledger.tables import HubVersion, Organization
from registry.memory import Memory
from registry.models import dependants
from registry.models.base_model_folders import remove_own_folder
from registry.publishing.checkpoint_publishing import publish_checkpoint
from registry.publishing.hub_publishing import publish
from registry.tracking import mlflow_models
from registry.tracking.experiments import Experiments

__all__ = [
    "delete",
    "file_key",
    "files_of",
    "find",
    "get",
    "list_page",
    "newest_versions",
    "publish",
    "publish_checkpoint",
    "to_wire",
    "uri_of",
]

_LISTED = (
    HubVersion.id,
    HubVersion.alias,
    HubVersion.name,
    HubVersion.version,
    HubVersion.organization_id,
    HubVersion.created_at,
    HubVersion.visibility,
    HubVersion.task,
    HubVersion.mlflow_model_version,
)

logger = logging.getLogger(__name__)


def get(session: Session, organization_id: str, name: str) -> list[HubVersion]:
    """Find a hub name, or one version by its alias ``ft:…`` or its id ``hub_…``.

    Returns:
        The version asked for (of a name: the newest), then the others of its name, newest first.

    Raises:
        NotFoundError: There is no such name, alias or id; tells the nearest.
    """
    rows = find(session, organization_id, name)
    if not rows:
        known = session.scalars(select(HubVersion.name).where(HubVersion.organization_id == organization_id).distinct())
        raise NotFoundError(
            f"There is no {name!r} in the hub; `afinador list hub-model` and `afinador list hub-adapter` show what it has."
            f"{nearest(name, known)}",
            param="name",
            code="model_not_found",
        )
    return rows


def find(session: Session, organization_id: str, name: str) -> list[HubVersion]:
    """Return what ``get`` does, or nothing where that raises."""
    mine = HubVersion.organization_id == organization_id
    one_version = or_(HubVersion.alias == name, HubVersion.id == name)
    asked = session.scalars(select(HubVersion).where(mine, one_version)).first()
    query = select(HubVersion).where(mine, HubVersion.name == (asked.name if asked else name))
    rows = list(session.scalars(query.order_by(HubVersion.version.desc())))
    return [asked, *(row for row in rows if row.id != asked.id)] if asked else rows


def list_page(
    session: Session, organization_id: str, kind: str, *, after: str | None = None, limit: int = 100
) -> tuple[list[list[HubVersion]], bool]:
    """Return a page of the names whose newest version is of a kind, newest first, each with its versions as in ``get``.

    Args:
        session: The transaction to read in.
        organization_id: Whose.
        kind: ``model`` or ``adapter``.
        after: Alias of the last newest version of the page before.
        limit: Names of a page, 1 to 100.

    Returns:
        The page, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    query = _newest(organization_id).where(HubVersion.kind == kind)
    order = [HubVersion.created_at, HubVersion.id]
    mine = HubVersion.organization_id == organization_id
    newest, has_more = page(
        session, query, order, key=HubVersion.alias, after=after, limit=limit, places=select(HubVersion).where(mine)
    )
    names = [row.name for row in newest]
    query = select(HubVersion).where(mine, HubVersion.name.in_(names)).order_by(HubVersion.version.desc())
    versions: dict[str, list[HubVersion]] = {name: [] for name in names}
    for row in session.scalars(query):
        versions[row.name].append(row)
    return list(versions.values()), has_more


def newest_versions(session: Session, organization_id: str) -> Sequence[Row[Any]]:
    """Return what lists tell of the newest version of every name, newest first.

    The rows have the attributes of ``HubVersion`` without its figures and files; whole objects of a thousand names take
    four times as long.
    """
    query = _newest(organization_id).order_by(HubVersion.created_at.desc(), HubVersion.id.desc())
    return session.execute(query.with_only_columns(*_LISTED)).all()


def _newest(organization_id: str) -> Select[tuple[HubVersion]]:
    mine = HubVersion.organization_id == organization_id
    newest = select(HubVersion.name, func.max(HubVersion.version)).where(mine).group_by(HubVersion.name)
    return select(HubVersion).where(mine, tuple_(HubVersion.name, HubVersion.version).in_(newest))


def files_of(session: Session, organization_id: str, name: str, *, version: int | None = None) -> list[HubFile]:
    """Return the files of a version, by path.

    Raises:
        NotFoundError: See ``get``; or the name has no such version.
    """
    row = _version(session, organization_id, name, version)
    return [HubFile(path=path, **row.files[path]) for path in sorted(row.files)]


def file_key(session: Session, organization_id: str, name: str, path: str, *, version: int | None = None) -> str:
    """Return the key in the storage of a version's file.

    Raises:
        NotFoundError: See ``files_of``; or the version has no such file.
    """
    row = _version(session, organization_id, name, version)
    if path not in row.files:
        raise NotFoundError(
            f"{row.name!r}, version {row.version}, has no file {path!r}.{nearest(path, row.files)}",
            param="path",
            code="file_not_found",
        )
    return f"{row.storage_prefix}/{row.files[path].get('stored_as', path)}"


def delete(session: Session, memory: Memory, experiments: Experiments, organization_id: str, name: str) -> None:
    """Delete a name with all its versions, or one version by its alias or id: files and both entries, or nothing.

    The files are moved aside at once and removed after the commit; a rollback brings them back.

    Raises:
        NotFoundError: See ``get``.
        InUseError: Jobs that have not ended, or adapters, start from it; names some.
        StorageError: The storage does not answer; nothing changed.
        ServiceUnavailableError: MLflow does not answer; nothing changed.
    """
    experiments.connect()  # may take seconds, so before the transaction locks anything
    found = get(session, organization_id, name)
    is_one_version = name in (found[0].alias, found[0].id)
    rows = found[:1] if is_one_version else found
    locked = select(HubVersion.id).where(HubVersion.id.in_([row.id for row in rows])).with_for_update()
    session.execute(locked)  # so that no job begins to need it now
    dependants.require_none(dependants.of_versions(session, rows), name)
    _move_aside(session, memory, rows)
    session.execute(delete_from(HubVersion).where(HubVersion.id.in_([row.id for row in rows])))
    # Last, for it cannot be taken back.
    organization = session.get_one(Organization, organization_id).name
    if is_one_version and len(found) > 1:
        mlflow_models.delete_version(experiments, organization, rows[0].name, rows[0].mlflow_model_version or "")
    else:
        mlflow_models.delete_model(experiments, organization, rows[0].name)


def uri_of(row: HubVersion | Row[Any]) -> str:
    """Return what MLflow calls a version."""
    return f"models:/{row.name}/{row.mlflow_model_version}"


def to_wire(rows: list[HubVersion]) -> HubEntry:
    """Return a version as it is answered.

    Args:
        rows: As ``get`` returns them: this version, then the others of its name.
    """
    row = rows[0]
    return HubEntry.model_validate(
        {
            "id": row.alias,
            "object": f"hub.{row.kind}",
            "kind": row.kind,
            "name": row.name,
            "version": row.version,
            "versions": sorted((other.version for other in rows), reverse=True),
            "created_at": int(row.created_at),
            "organization_id": row.organization_id,
            "visibility": row.visibility,
            "model_id": row.base_model_id,
            "base_model": row.base_model,
            "started_from": row.started_from,
            "dataset": row.training_file_id,
            "job_id": row.job_id,
            "checkpoint_step": row.checkpoint_step,
            "tuning_method": row.tuning_method,
            "task": row.task,
            "parameters": row.parameters,
            "metrics": row.metrics,
            "files": [{"path": path, **row.files[path]} for path in sorted(row.files)],
            "uri": uri_of(row),
            "path": row.storage_prefix,
            "domain": row.domain,
            "tags": row.tags,
        }
    )


def _move_aside(session: Session, memory: Memory, rows: list[HubVersion]) -> None:
    places = {row.storage_prefix: f"{row.organization_id}/hub-deleted/{row.id}" for row in rows}
    is_committed = False

    def bring_back(_: Session) -> None:
        if not is_committed:
            for prefix, aside in places.items():
                try:
                    memory.storage.move(aside, prefix)
                except AfinadorError as error:
                    logger.error("Not deleted from the hub, but its files must be moved back: %s", error.message)

    def remove() -> None:
        nonlocal is_committed
        is_committed = True
        for row in rows:
            remove_own_folder(memory.settings, row)
        for aside in places.values():
            try:
                memory.storage.delete(aside)
            except AfinadorError as error:
                logger.warning("Deleted from the hub, but its files are still there: %s", error.message)

    event.listen(session, "after_rollback", bring_back, once=True)
    after_commit(session, remove)
    for prefix, aside in places.items():
        memory.storage.move(prefix, aside)


def _version(session: Session, organization_id: str, name: str, version: int | None) -> HubVersion:
    rows = get(session, organization_id, name)
    if version is None:
        return rows[0]
    for row in rows:
        if row.version == version:
            return row
    raise NotFoundError(
        f"{rows[0].name!r} has no version {version}; it has: {', '.join(str(row.version) for row in rows)}.",
        param="version",
        code="model_not_found",
    )
