"""Base models: registered from a folder, from files that are sent or from the Hugging Face Hub; found by any name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.architectures import (
    CAUSAL_ARCHITECTURES,
    CLASSIFICATION_ARCHITECTURES,
    check_parameter_count,
    tasks_of,
)
from afinador.errors import (
    AfinadorError,
    InvalidRequestError,
    ModelError,
    NameTakenError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedModelError,
    nearest,
)
from afinador.models.headers import ModelDescription, describe_model_folder, inspect_model_folder
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.jobs import Task
from afinador.schemas.models import BaseModelRequest
from registry.hugging_face import hf_downloads
from registry.ledger.database import after_commit
from registry.ledger.ids import new_id
from registry.ledger.tables import BaseModel, Job
from registry.memory import Memory
from registry.models import base_model_uploads, dependants
from registry.models.base_model_folders import allowed_folder, own_folder, remove_own_folder, told_by_name
from registry.models.base_model_views import to_wire

__all__ = ["complete", "delete", "find", "incomplete", "list_all", "register", "to_wire"]

_NAMES_IN_MESSAGE = 5

logger = logging.getLogger(__name__)


def register(
    session: Session, memory: Memory, organization_id: str, request: BaseModelRequest, *, operator: bool
) -> BaseModel:
    """Write a base model down; ``complete`` has to follow, in the background.

    Asking again for an upload that has not ended returns the same row, so that it can go on.

    Returns:
        The row, status ``registering``, or ``uploading`` when its files are to be sent first. A folder's headers are
        checked already, a hub's repository is not.

    Raises:
        PermissionDeniedError: ``public`` without the operator's key, or a folder outside the allowed roots.
        InvalidRequestError: The source is neither an absolute folder nor ``hf://owner/name[@revision]``, or there is
            none and no files either; or see ``registry.models.base_model_uploads``.
        NotFoundError: There is no such folder.
        ModelError: The folder holds no model that can be used, or one that is too large.
        NameTakenError: The organisation has a base model of this name.
    """
    if request.visibility == "public" and not operator:
        raise PermissionDeniedError(
            "Only the operator registers public base models; leave visibility out, or use the operator's key.",
            param="visibility",
        )
    row = _row(memory, organization_id, request)
    if (begun := _same_upload(session, row)) is not None:
        return begun
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise NameTakenError(
            f"There is a base model {request.name!r} already; choose another name, or delete that one first.",
            param="name",
        ) from error
    return row


def _row(memory: Memory, organization_id: str, request: BaseModelRequest) -> BaseModel:
    if (request.source is None) == (request.files is None):
        raise InvalidRequestError(
            "Give either source, a folder on the server or hf://owner/name[@revision], or files, which are sent "
            "afterwards.",
            param="source",
        )
    row = BaseModel(
        id=new_id("model_"),
        organization_id=organization_id,
        name=request.name,
        visibility=request.visibility,
        source=request.source or base_model_uploads.SOURCE,
        status="registering",
        origin="local",
    )
    if request.files is not None:
        row.status, row.path = "uploading", str(own_folder(memory.settings, row))
        row.files = base_model_uploads.announced(memory.settings, request, request.files)
    elif row.source.startswith(HUB_SCHEME):
        hf_downloads.parse_source(row.source)
        row.origin, row.path = "remote", str(own_folder(memory.settings, row))
    else:
        folder = allowed_folder(memory.settings, row.name, row.source)
        row.path = str(folder)
        _describe(row, _checked(request.name, folder))
    return row


def _same_upload(session: Session, row: BaseModel) -> BaseModel | None:
    same = (BaseModel.organization_id == row.organization_id, BaseModel.name == row.name)
    begun = session.scalars(select(BaseModel).where(*same, BaseModel.status == "uploading")).first()
    if begun is None:
        return None
    if row.status == "uploading" and (row.files, row.visibility) == (begun.files, begun.visibility):
        return begun
    raise NameTakenError(
        f"An upload of other files to {row.name!r} has not ended; delete that base model first, or choose another name.",
        param="name",
    )


def complete(memory: Memory, model_id: str) -> None:
    """Fetch and hash the files of a registered base model; long work.

    Never raises: the row ends ``ready``, or ``error`` with the reason. May be called again after a crash.
    """
    with memory.database.reading() as session:
        row = session.get(BaseModel, model_id)
    if row is None or row.status != "registering":
        return
    try:
        _fill(memory, row)
        row.status, row.status_details = "ready", _untrained(row)
    except AfinadorError as error:
        row.status, row.status_details = "error", f"{error.message} Then delete this entry and register it again."
    except Exception:
        logger.exception("Registering the base model %s failed", model_id)
        row.status, row.status_details = "error", "An unexpected error; the operator finds it in the log of the API."
    if not _write_back(memory, row) or row.status == "error":
        remove_own_folder(memory.settings, row)


def incomplete(session: Session) -> list[str]:
    """Return the ids of all base models that ``complete`` has not finished; for the start of the service."""
    return list(session.scalars(select(BaseModel.id).where(BaseModel.status == "registering")))


def find(session: Session, memory: Memory, organization_id: str, name: str) -> BaseModel:
    """Find a base model by id, name or the operator's alias: the organisation's own first, then public ones.

    Raises:
        NotFoundError: There is none, or not any more; names the nearest.
    """
    aliases: dict[str, str] = memory.operator.get("model_aliases") or {}
    for wanted in (name, aliases.get(name)):
        if wanted is None:
            continue
        query = select(BaseModel).where(
            _visible_to(organization_id), or_(BaseModel.id == wanted, BaseModel.name == wanted)
        )
        found = sorted(session.scalars(query), key=lambda row: (row.organization_id != organization_id, row.created_at))
        if found:
            return found[0]
    _refuse_deleted(session, organization_id, name)
    known = sorted(set(session.scalars(select(BaseModel.name).where(_visible_to(organization_id)))))
    leading = [alias for alias, model in aliases.items() if model in known]
    said, hint = f"There is no base model {name!r}.", nearest(name, [*known, *leading]) or _registered(known)
    if name in aliases:
        said = f"{name!r} is the operator's alias of {aliases[name]!r}, which is not registered."
        hint = nearest(aliases[name], known) or _registered(known)
    raise NotFoundError(
        f"{said}{hint} Register one from a folder or from hf://owner/name: afinador create base-model NAME --source …",
        param="model",
        code="model_not_found",
    )


def _refuse_deleted(session: Session, organization_id: str, model_id: str) -> None:
    """Refuse the id of a model that is gone: what was made of it goes on naming it, and its jobs tell what it was.

    Raises:
        NotFoundError: It is one, of a base model or of a published version.
    """
    based = (Job.organization_id == organization_id, Job.base_model_id == model_id)
    was = session.scalars(select(Job.base_model).where(*based).limit(1)).first()
    if was is not None:
        raise NotFoundError(
            f"The model {model_id!r} was deleted; it was {was!r}. `afinador list base-model` and `afinador list hub-model` "
            "show what there is.",
            param="model",
            code="model_not_found",
        )


def _registered(names: list[str]) -> str:
    if not names:
        return " None is registered yet."
    more = len(names) - _NAMES_IN_MESSAGE
    return f" Registered are: {', '.join(names[:_NAMES_IN_MESSAGE])}{f' and {more} more' if more > 0 else ''}."


def list_all(session: Session, organization_id: str) -> list[BaseModel]:
    """Return the organisation's base models and all public ones, by name."""
    query = select(BaseModel).where(_visible_to(organization_id)).order_by(BaseModel.name, BaseModel.created_at)
    return list(session.scalars(query))


def delete(session: Session, memory: Memory, organization_id: str, name: str, *, operator: bool = False) -> None:
    """Delete a base model's entry, and its files if the service downloaded them; an operator's folder stays.

    Raises:
        NotFoundError: There is none of this id or name.
        PermissionDeniedError: It is public, and this is not the operator.
        InUseError: Adapters or jobs that have not ended need it; names some.
    """
    row = find(session, memory, organization_id, name)
    if row.visibility == "public" and not operator:
        raise PermissionDeniedError(f"{row.name!r} is public; only the operator deletes public base models.")
    dependants.require_none(dependants.of_base_models(session, [row.id]), row.name)
    session.execute(delete_from(BaseModel).where(BaseModel.id == row.id))
    after_commit(session, lambda: remove_own_folder(memory.settings, row))


def _visible_to(organization_id: str) -> ColumnElement[bool]:
    return or_(BaseModel.organization_id == organization_id, BaseModel.visibility == "public")


def _checked(name: str, folder: Path) -> ModelDescription:
    with told_by_name(folder, name):
        description = describe_model_folder(folder)
    check_parameter_count(name, description.parameters)
    return description


def _describe(row: BaseModel, description: ModelDescription) -> None:
    row.architecture, row.parameters = description.architecture, description.parameters
    row.license, row.task = description.license, _task_of(description.architecture)


def _task_of(architecture: str) -> Task | None:
    if architecture in CAUSAL_ARCHITECTURES or architecture.endswith("ForCausalLM"):
        return "causal_lm"
    if architecture.endswith("ForConditionalGeneration"):
        return "seq2seq_lm"
    classifies = architecture in CLASSIFICATION_ARCHITECTURES or architecture.endswith("ForSequenceClassification")
    return "sequence_classification" if classifies else None


def _untrained(row: BaseModel) -> str | None:
    """Say of a model which is fine and which no job can use so."""
    try:
        tasks_of(str(row.architecture))
    except UnsupportedModelError as error:
        return f"No job can use it yet. {error.message}"
    return None


def _fill(memory: Memory, row: BaseModel) -> None:
    if row.origin == "remote":
        wanted = hf_downloads.look_up(memory.settings, row.source)
        row.files = wanted.files
        _announce(memory, row)
        hf_downloads.download(memory.settings, wanted, own_folder(memory.settings, row))
        row.source = str(wanted.source)
    assert row.path is not None
    _describe(row, _checked(row.name, Path(row.path)))
    with told_by_name(Path(row.path), row.name):
        folder = inspect_model_folder(Path(row.path))
    _require_as_announced(row.files or {}, folder.files)
    row.sha256, row.files = folder.sha256, folder.files


def _announce(memory: Memory, row: BaseModel) -> None:
    """Write down what is going to come, so that its progress can be told."""
    with memory.database.session() as session:
        session.execute(update(BaseModel).where(BaseModel.id == row.id).values(files=row.files))


def _require_as_announced(announced: dict[str, Any], there: dict[str, Any]) -> None:
    for path, file in announced.items():
        expected, found = file.get("sha256"), there.get(path, {}).get("sha256")
        if expected and found and expected != found:
            raise ModelError(
                f"{path} arrived with other bytes than were announced: its SHA-256 is {found}, it should be {expected}."
            )


def _write_back(memory: Memory, row: BaseModel) -> bool:
    """Store what was found out; False when the row was deleted in the meantime."""
    columns = ("source", "path", "status", "status_details", "architecture", "task", "parameters", "sha256", "files")
    values = {column: getattr(row, column) for column in (*columns, "license")}
    with memory.database.session() as session:
        mine = update(BaseModel).where(BaseModel.id == row.id, BaseModel.status == "registering")
        return bool(session.execute(mine.values(**values)).rowcount)  # type: ignore[attr-defined]
