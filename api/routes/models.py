"""Models by name: base models, what jobs made of them, and checkpoints on the way."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from afinador.errors import InvalidRequestError, NotFoundError
from afinador.schemas.base import Deleted, Page
from afinador.schemas.models import BaseModelRequest, Model, ModelTypeFilter
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentCaller
from api.model_uploads import BYTES_BODY, ReceivedPart
from api.paging import page
from api.parameters import ModelName
from api.service import TheService
from registry.ledger.tables import Checkpoint, HubVersion
from registry.memory import Memory
from registry.models import base_models
from registry.publishing import hub

router = APIRouter(prefix="/models", tags=["models"])

OfType = Annotated[ModelTypeFilter | None, Query(description="Only those; both spellings mean one.")]


@router.post("", summary="Register a base model", openapi_extra=describes_body(BaseModelRequest))
def create_model(caller: CurrentCaller, body: JsonObject, service: TheService) -> Model:
    """Register a base model from a folder below the allowed roots, or from the Hugging Face Hub (``hf://owner/name``).

    Its files are fetched and hashed in the background: see ``status``. With ``files`` instead of ``source`` they are
    sent afterwards, 64 GB at most. Only the operator makes public ones.
    """
    request = parsed(BaseModelRequest, body)
    with service.memory.database.session() as session:
        row = base_models.register(
            session, service.memory, caller.organization.id, request, operator=caller.is_operator
        )
        model = base_models.to_wire(service.memory.settings, row)
    if row.status == "registering":
        service.fetch_model(row.id)
    return model


@router.put("/{model}/files/{path:path}", summary="Send a file of a base model", openapi_extra=BYTES_BODY)
def send_file(row: ReceivedPart, service: TheService) -> Model:
    """Send a file that was announced, whole or in parts that follow one another; ``model`` is the model's id.

    Doing it again replaces what lies behind ``offset``; ``files[].bytes_done`` of the model says where to go on. When
    all files are there, their hashes are checked in the background.
    """
    return base_models.to_wire(service.memory.settings, row)


@router.get("", summary="List models", response_model=Page[Model])
def list_models(caller: CurrentCaller, service: TheService, type: OfType = None) -> Response:
    """List base models, the organization's and public ones, and the newest version of each hub name; on one page.

    OpenAI's clients ask for no further page of this list.
    """
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        made = hub.newest_versions(session, organization_id)
        rows = base_models.list_all(session, organization_id)
    # As they are found: the own ones, then the oldest public one.
    own_last = sorted(rows, key=lambda row: (row.organization_id == organization_id, -row.created_at))
    named = {row.name: row for row in own_last}
    bases = [
        base_models.to_wire(service.memory.settings, row, with_files=False, has_its_name=named[row.name] is row)
        for row in rows
    ]
    asked = "fine-tuned" if type == "fined-tuned" else type
    listed = [*bases, *map(_published_model, made)]
    told = page([model for model in listed if asked in (None, model.type)])
    # Written at once: FastAPI's own way through dictionaries takes three times as long, and these pages are long.
    return Response(told.model_dump_json(), media_type="application/json")


@router.get("/{model:path}", summary="Get a model")
def retrieve_model(model: ModelName, caller: CurrentCaller, service: TheService) -> Model:
    """Get a base model, a hub name, one version (``ft:…``) or a checkpoint (``ft:…:ckpt-step-N``); or a ``model_id``.

    A base model wins over a hub name, as it does when a job is created; ``/hub/models/{name}`` finds that one.
    """
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        if (version := _published(session, service.memory, organization_id, model)) is not None:
            return _published_model(version)
        if (checkpoint := _checkpoint(session, organization_id, model)) is not None:
            return _checkpoint_model(checkpoint)
        _refuse_alias(session, organization_id, model)
        row = base_models.find(session, service.memory, organization_id, model)
        named = base_models.find(session, service.memory, organization_id, row.name)
        return base_models.to_wire(service.memory.settings, row, has_its_name=named.id == row.id)


@router.delete("/{model:path}", summary="Delete a model")
def delete_model(model: ModelName, caller: CurrentCaller, service: TheService) -> Deleted:
    """Delete a base model, a hub name with all its versions, or one version (``ft:…`` or its ``model_id``).

    A base model wins over a hub name; ``/hub/models/{name}`` deletes that one.
    """
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        is_published = _published(session, service.memory, organization_id, model) is not None
        if not is_published and _checkpoint(session, organization_id, model) is not None:
            raise InvalidRequestError("Checkpoints belong to their job and cannot be deleted.", param="model")
        if not is_published:
            _refuse_alias(session, organization_id, model)
    experiments = service.experiments.get() if is_published else None
    with service.memory.database.session() as session:
        if experiments is not None:
            hub.delete(session, service.memory, experiments, organization_id, model)
        else:
            base_models.delete(session, service.memory, organization_id, model, operator=caller.is_operator)
    return Deleted(id=model, object="model")


def _checkpoint(session: Session, organization_id: str, name: str) -> Checkpoint | None:
    mine = (Checkpoint.organization_id == organization_id, Checkpoint.name == name)
    return session.scalars(select(Checkpoint).where(*mine)).first()


def _published(session: Session, memory: Memory, organization_id: str, name: str) -> HubVersion | None:
    """Return the version that a hub name, alias or id means, None if it is neither, or a base model has the name."""
    found = hub.find(session, organization_id, name)
    if found and not name.startswith("ft:"):
        with suppress(NotFoundError):
            base_models.find(session, memory, organization_id, name)
            return None
    return found[0] if found else None


def _refuse_alias(session: Session, organization_id: str, name: str) -> None:
    """Refuse what has the form of an alias, which no base model can have.

    Raises:
        NotFoundError: It has, and there is no such version; names the nearest.
    """
    if name.startswith("ft:"):
        hub.get(session, organization_id, name)


def _published_model(row: HubVersion | Row[Any]) -> Model:
    return Model(
        id=row.alias,
        created=int(row.created_at),
        created_at=int(row.created_at),
        owned_by=row.organization_id,
        organization_id=row.organization_id,
        name=row.name,
        type="fine-tuned",
        origin="local",
        visibility=row.visibility,
        task=row.task,
        source=hub.uri_of(row),
        model_id=row.id,
    )


def _checkpoint_model(row: Checkpoint) -> Model:
    return Model(
        id=row.name,
        created=int(row.created_at),
        created_at=int(row.created_at),
        owned_by=row.organization_id,
        organization_id=row.organization_id,
        name=row.name,
        type="fine-tuned",
        origin="local",
        source=row.job_id,
    )
