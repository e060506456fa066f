"""Models by name: base models, what jobs made of them, and checkpoints on the way."""

from __future__ import annotations

from fastapi import APIRouter

from afinador.schemas.base import Deleted, Page
from afinador.schemas.models import BaseModelRequest, Model
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentCaller
from api.paging import page
from api.service import TheService
from registry import base_models, hub

router = APIRouter(prefix="/models", tags=["models"])


@router.post("", summary="Register a base model", openapi_extra=describes_body(BaseModelRequest))
def create_model(caller: CurrentCaller, body: JsonObject, service: TheService) -> Model:
    """Register a base model from a folder below the allowed roots, or from the Hugging Face Hub (``hf://owner/name``).

    Its files are fetched and hashed in the background: see ``status``. Only the operator makes public ones.
    """
    request = parsed(BaseModelRequest, body)
    with service.memory.database.session() as session:
        row = base_models.register(
            session, service.memory, caller.organization.id, request, operator=caller.is_operator
        )
        model = base_models.to_wire(row)
    service.fetch_model(model.id)
    return model


@router.get("", summary="List models")
def list_models(caller: CurrentCaller, service: TheService) -> Page[Model]:
    """List base models, the organization's and public ones, and the newest version of each hub name; on one page."""
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        bases = [base_models.to_wire(row) for row in base_models.list_all(session, organization_id)]
        made = [as_model(entry) for entry in hub_entries(session, organization_id)]
    return page([*bases, *made])


@router.get("/{model:path}", summary="Get a model")
def retrieve_model(model: str, caller: CurrentCaller, service: TheService) -> Model:
    """Get a base model, a hub name, one version (``ft:…``) or a checkpoint (``ft:…:ckpt-step-N``)."""
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        if (found := find_made(session, organization_id, model)) is not None:
            return found
        return base_models.to_wire(base_models.find(session, service.memory, organization_id, model))


@router.delete("/{model:path}", summary="Delete a model")
def delete_model(model: str, caller: CurrentCaller, service: TheService) -> Deleted:
    """Delete a base model, a hub name with all its versions, or one version (``ft:…``)."""
    organization_id = caller.organization.id
    with service.memory.database.reading() as session:
        is_made = find_made(session, organization_id, model) is not None
    experiments = service.experiments.get() if is_made else None
    with service.memory.database.session() as session:
        if experiments is not None:
            hub.delete(session, service.memory, experiments, organization_id, model)
        else:
            base_models.delete(session, service.memory, organization_id, model)
    return Deleted(id=model, object="model")
