"""Base models: registered from a folder or from the Hugging Face Hub, found by id, name or alias."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.resolve import CAUSAL_ARCHITECTURES, check_parameter_count
from afinador.errors import (
    AfinadorError,
    InUseError,
    InvalidRequestError,
    NameTakenError,
    NotFoundError,
    PermissionDeniedError,
    nearest,
)
from afinador.models.headers import ModelDescription, describe_model_folder, inspect_model_folder, model_files
from afinador.schemas.jobs import OPEN_STATUSES, Task
from afinador.schemas.models import BaseModelRequest, Model
from afinador.settings import Settings
from registry import hf_downloads
from registry.database import after_commit
from registry.ids import new_id
from registry.memory import Memory
from registry.tables import BaseModel, HubVersion, Job

HUB_SCHEME = "hf://"
_NAMES_IN_MESSAGE = 5

logger = logging.getLogger(__name__)


def register(
    session: Session, memory: Memory, organization_id: str, request: BaseModelRequest, *, operator: bool
) -> BaseModel:
    """Write a base model down; ``complete`` has to follow, in the background.

    Returns:
        The row, status ``registering``. A folder's headers are checked already, a hub's repository is not.

    Raises:
        PermissionDeniedError: ``public`` without the operator's key, or a folder outside the allowed roots.
        InvalidRequestError: The source is neither an absolute folder nor ``hf://owner/name[@revision]``.
        NotFoundError: There is no such folder.
        ModelError: The folder holds no model that can be used, or one that is too large.
        NameTakenError: The organisation has a base model of this name.
    """
    if request.visibility == "public" and not operator:
        raise PermissionDeniedError(
            "Only the operator registers public base models; leave visibility out, or use the operator's key.",
            param="visibility",
        )
    row = BaseModel(
        id=new_id("model_"),
        organization_id=organization_id,
        name=request.name,
        visibility=request.visibility,
        source=request.source,
        status="registering",
    )
    if request.source.startswith(HUB_SCHEME):
        hf_downloads.parse_source(request.source)
        row.origin = "remote"
    else:
        folder = _allowed_folder(memory.settings, request.source)
        row.origin, row.path = "local", str(folder)
        _describe(row, _checked(request.name, folder))
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise NameTakenError(
            f"There is a base model {request.name!r} already; choose another name, or delete that one first.",
            param="name",
        ) from error
    return row


def complete(memory: Memory, model_id: str) -> None:
    """Fetch and hash the files of a registered base model; long work.

    Never raises: the row ends ``ready``, or ``error`` with the reason. May be called again after a crash.
    """
    with memory.database.reading() as session:
        row = session.get(BaseModel, model_id)
    if row is None or row.status != "registering":
        return
    try:
        _fill(memory.settings, row)
        row.status, row.status_details = "ready", None
    except AfinadorError as error:
        row.status, row.status_details = "error", f"{error.message} Then delete this entry and register it again."
    except Exception:
        logger.exception("Registering the base model %s failed", model_id)
        row.status, row.status_details = "error", "An unexpected error; the operator finds it in the log of the API."
    if not _write_back(memory, row) or row.status == "error":
        _remove_download(memory.settings, row)


def incomplete(session: Session) -> list[str]:
    """Return the ids of all base models that ``complete`` has not finished; for the start of the service."""
    return list(session.scalars(select(BaseModel.id).where(BaseModel.status == "registering")))


def find(session: Session, memory: Memory, organization_id: str, name: str) -> BaseModel:
    """Find a base model by id, name or the operator's alias: the organisation's own first, then public ones.

    Raises:
        NotFoundError: There is none; names the nearest.
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
    known = sorted(set(session.scalars(select(BaseModel.name).where(_visible_to(organization_id)))))
    hint = nearest(name, [*known, *aliases]) or _registered(known)
    raise NotFoundError(
        f"There is no base model {name!r}.{hint} Register one from a folder or from hf://owner/name: "
        "afinador create base-model NAME --source …",
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
    users = _users(session, row.id)
    if users:
        more = f" and {len(users) - _NAMES_IN_MESSAGE} more" if len(users) > _NAMES_IN_MESSAGE else ""
        raise InUseError(
            f"{row.name!r} is needed by {', '.join(users[:_NAMES_IN_MESSAGE])}{more}. Cancel or delete those first.",
            param="model",
        )
    session.execute(delete_from(BaseModel).where(BaseModel.id == row.id))
    after_commit(session, lambda: _remove_download(memory.settings, row))


def to_wire(row: BaseModel) -> Model:
    """Return a base model as it is answered."""
    return Model.model_validate(
        {
            "id": row.id,
            "created": int(row.created_at),
            "created_at": int(row.created_at),
            "owned_by": row.organization_id,
            "organization_id": row.organization_id,
            "name": row.name,
            "type": "base",
            "origin": row.origin,
            "visibility": row.visibility,
            "status": row.status,
            "status_details": row.status_details,
            "architecture": row.architecture,
            "task": row.task,
            "parameters": row.parameters,
            "sha256": row.sha256,
            "license": row.license,
            "source": row.source,
        }
    )


def _visible_to(organization_id: str) -> ColumnElement[bool]:
    return or_(BaseModel.organization_id == organization_id, BaseModel.visibility == "public")


def _allowed_folder(settings: Settings, source: str) -> Path:
    if "://" in source or not Path(source).is_absolute():
        raise InvalidRequestError(
            f"source is {source!r}; give an absolute folder on the server, or hf://owner/name[@revision].",
            param="source",
        )
    try:
        folder = Path(source).resolve()
        is_there = folder.is_dir()
    except (OSError, ValueError) as error:  # such as a name that is too long, or holds a zero byte
        raise InvalidRequestError(f"source is no folder that there can be: {error}.", param="source") from error
    _require_below_roots(settings, folder)
    if not is_there:
        raise NotFoundError(
            f"There is no folder {source}; give the one that holds config.json and the safetensors files.",
            param="source",
        )
    for file in model_files(folder) if (folder / "config.json").is_file() else ():
        _require_below_roots(settings, file.resolve())  # a link inside may lead out
    return folder


def _require_below_roots(settings: Settings, path: Path) -> None:
    roots = [root.resolve() for root in settings.allowed_model_roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise PermissionDeniedError(
            f"{path} lies outside the folders from which base models may be registered: "
            f"{', '.join(map(str, roots))}. Move the model there, or let the operator add its folder to "
            "AFINADOR_MODEL_ROOTS.",
            param="source",
        )


def _checked(name: str, folder: Path) -> ModelDescription:
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
    return "sequence_classification" if architecture.endswith("ForSequenceClassification") else None


def _fill(settings: Settings, row: BaseModel) -> None:
    if row.origin == "remote":
        row.source = hf_downloads.download(settings, row.source, _download_folder(settings, row))
        row.path = str(_download_folder(settings, row))
    assert row.path is not None
    _describe(row, _checked(row.name, Path(row.path)))
    folder = inspect_model_folder(Path(row.path))
    row.sha256, row.files = folder.sha256, folder.files


def _write_back(memory: Memory, row: BaseModel) -> bool:
    """Store what was found out; False when the row was deleted in the meantime."""
    columns = ("source", "path", "status", "status_details", "architecture", "task", "parameters", "sha256", "files")
    values = {column: getattr(row, column) for column in (*columns, "license")}
    with memory.database.session() as session:
        mine = update(BaseModel).where(BaseModel.id == row.id, BaseModel.status == "registering")
        return bool(session.execute(mine.values(**values)).rowcount)  # type: ignore[attr-defined]


def _users(session: Session, model_id: str) -> list[str]:
    jobs = select(Job.name).where(Job.base_model_id == model_id, Job.status.in_(OPEN_STATUSES)).order_by(Job.name)
    adapters = select(HubVersion.name).where(HubVersion.base_model_id == model_id, HubVersion.kind == "adapter")
    named = [f"the job {name}" for name in session.scalars(jobs)]
    return named + [f"the adapter {name}" for name in session.scalars(adapters.distinct().order_by(HubVersion.name))]


def _download_folder(settings: Settings, row: BaseModel) -> Path:
    return settings.home / "base-models" / row.id


def _remove_download(settings: Settings, row: BaseModel) -> None:
    if row.origin == "remote":
        shutil.rmtree(_download_folder(settings, row), ignore_errors=True)
