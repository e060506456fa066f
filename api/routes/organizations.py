"""Organisations and their keys, made by the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from afinador.errors import NotFoundError
from afinador.schemas.base import Deleted, Page
from afinador.schemas.organizations import (
    ApiKey,
    ApiKeyRequest,
    Organization,
    OrganizationRequest,
    OrganizationUpdate,
)
from api.bodies import JsonObject, describes_body, parsed
from api.keys import OPERATOR_ONLY
from api.paging import page
from api.parameters import KeyId, OrganizationName
from api.service import TheService
from registry import organisations

Owner = Annotated[str | None, Query(description="Id or name of an organization: only its keys.")]

router = APIRouter(tags=["organizations"], dependencies=[OPERATOR_ONLY])


@router.post("/organizations", summary="Make an organization", openapi_extra=describes_body(OrganizationRequest))
def create_organization(body: JsonObject, service: TheService) -> Organization:
    """Make an organization; make a key for it next (``POST /v1/api_keys``)."""
    request = parsed(OrganizationRequest, body)
    with service.memory.database.session() as session:
        return organisations.to_wire(organisations.create(session, request.name))


@router.get("/organizations", summary="List organizations")
def list_organizations(service: TheService) -> Page[Organization]:
    """List all organizations, by name."""
    with service.memory.database.reading() as session:
        return page([organisations.to_wire(row) for row in organisations.list_all(session)])


@router.patch(
    "/organizations/{organization}",
    summary="Set limit and priority of an organization",
    openapi_extra=describes_body(OrganizationUpdate),
)
def update_organization(organization: OrganizationName, body: JsonObject, service: TheService) -> Organization:
    """Set how many jobs of an organization run at once in each work pool, and its priority; higher is first.

    What is left out stays as it is. Prefect's work queues follow, at the latest when Prefect is back.
    """
    request = parsed(OrganizationUpdate, body)
    with service.memory.database.session() as session:
        row = organisations.update(session, organization, **request.model_dump(exclude_unset=True))
        answer = organisations.to_wire(row)
    service.apply_queues()
    return answer


@router.post("/api_keys", summary="Make an API key", openapi_extra=describes_body(ApiKeyRequest))
def create_key(body: JsonObject, service: TheService) -> ApiKey:
    """Make a key of an organization. Its text is in this answer and never again."""
    request = parsed(ApiKeyRequest, body)
    with service.memory.database.session() as session:
        organization = organisations.get(session, request.organization)
        return organisations.key_to_wire(*organisations.create_key(session, organization.id, request.name))


@router.get("/api_keys", summary="List API keys")
def list_keys(service: TheService, organization: Owner = None) -> Page[ApiKey]:
    """List the keys of one organization, or of all; without their texts."""
    with service.memory.database.reading() as session:
        if organization is None:
            rows = organisations.list_all_keys(session)
        else:
            rows = organisations.list_keys(session, organisations.get(session, organization).id)
        return page([organisations.key_to_wire(row) for row in rows])


@router.delete("/api_keys/{key_id}", summary="Revoke an API key")
def revoke_key(key_id: KeyId, service: TheService, organization: Owner = None) -> Deleted:
    """Revoke a key by its id; requests that carry it are refused from now on."""
    with service.memory.database.session() as session:
        owner = organisations.get(session, organization) if organization else None
        holds = [
            key.organization_id
            for key in organisations.list_all_keys(session)
            if key.id == key_id and (owner is None or key.organization_id == owner.id)
        ]
        if not holds:
            raise NotFoundError(f"There is no API key {key_id!r}.", code="api_key_not_found")
        organisations.revoke_key(session, holds[0], key_id)
    return Deleted(id=key_id, object="api_key")
