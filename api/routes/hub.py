"""The hub: models and adapters that the organization's jobs made.

Both share one namespace: either route finds a name and says its ``kind``; the lists stay apart.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from afinador.schemas.base import Deleted, Page
from afinador.schemas.models import HubEntry, HubFile
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import FilePath, HubName
from api.service import Service, TheService
from api.streams import stored_file
from registry.publishing import hub

router = APIRouter(prefix="/hub", tags=["hub"])

Version = Annotated[int | None, Query(description="The newest by default.")]


@router.get("/models", summary="List hub models")
def list_models(
    organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 100
) -> Page[HubEntry]:
    """List the models that jobs made, each name once with its newest version, newest first."""
    return _list(service, organization.id, "model", after, limit)


@router.get("/adapters", summary="List hub adapters")
def list_adapters(
    organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 100
) -> Page[HubEntry]:
    """List the adapters that jobs made, each name once with its newest version, newest first."""
    return _list(service, organization.id, "adapter", after, limit)


@router.get("/models/{name:path}/files/{path:path}", summary="Get a file of a hub model", response_class=Response)
@router.get("/adapters/{name:path}/files/{path:path}", summary="Get a file of a hub adapter", response_class=Response)
def retrieve_file(
    name: HubName, path: FilePath, organization: CurrentOrganization, service: TheService, version: Version = None
) -> Response:
    """Get the bytes of one file of a version."""
    with service.memory.database.reading() as session:
        key = hub.file_key(session, organization.id, name, path, version=version)
    return stored_file(service.memory.storage, key, path.rpartition("/")[2])


@router.get("/models/{name:path}/files", summary="List the files of a hub model")
@router.get("/adapters/{name:path}/files", summary="List the files of a hub adapter")
def list_files(
    name: HubName, organization: CurrentOrganization, service: TheService, version: Version = None
) -> Page[HubFile]:
    """List the files of a version with their sizes and hashes."""
    with service.memory.database.reading() as session:
        return page(hub.files_of(session, organization.id, name, version=version))


@router.get("/models/{name:path}", summary="Get a hub model")
@router.get("/adapters/{name:path}", summary="Get a hub adapter")
def retrieve_entry(name: HubName, organization: CurrentOrganization, service: TheService) -> HubEntry:
    """Get a hub name (its newest version), or one version by its ``ft:…`` name or its id (``hub_…``)."""
    with service.memory.database.reading() as session:
        return hub.to_wire(hub.get(session, organization.id, name))


@router.delete("/models/{name:path}", summary="Delete a hub model")
@router.delete("/adapters/{name:path}", summary="Delete a hub adapter")
def delete_entry(name: HubName, organization: CurrentOrganization, service: TheService) -> Deleted:
    """Delete a hub name with all its versions, or one version by its ``ft:…`` name or its id: files and entries, or nothing."""
    with service.memory.database.reading() as session:
        kind = hub.get(session, organization.id, name)[0].kind
    experiments = service.experiments.get()
    with service.memory.database.session() as session:
        hub.delete(session, service.memory, experiments, organization.id, name)
    return Deleted(id=name, object=f"hub.{kind}")


def _list(service: Service, organization_id: str, kind: str, after: str | None, limit: int) -> Page[HubEntry]:
    with service.memory.database.reading() as session:
        names, has_more = hub.list_page(session, organization_id, kind, after=after, limit=limit)
        return page([hub.to_wire(versions) for versions in names], has_more=has_more)
