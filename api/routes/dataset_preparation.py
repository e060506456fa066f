"""Data sets taken through declared steps."""

from __future__ import annotations

from fastapi import APIRouter

from afinador.schemas.base import Page
from afinador.schemas.preparations import Preparation, PrepareRequest
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import PreparationId
from api.service import TheService
from registry.creation import preparations

router = APIRouter(prefix="/datasets", tags=["data sets"])


@router.post("/prepare", summary="Prepare a data set", status_code=202, openapi_extra=describes_body(PrepareRequest))
def prepare(organization: CurrentOrganization, body: JsonObject, service: TheService) -> Preparation:
    """Take an uploaded data set through steps, which are checked at once; what comes of it is a new file, or several.

    Answers at once with the preparation that is queued; it is done on a worker.
    """
    request = parsed(PrepareRequest, body)
    with service.memory.database.session() as session:
        asked = preparations.to_wire(session, preparations.create(session, service.memory, organization.id, request))
    service.submit_preparations()
    return asked


@router.get("/preparations", summary="List preparations")
def list_preparations(
    organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 20
) -> Page[Preparation]:
    """List the preparations that were asked for, newest first."""
    with service.memory.database.reading() as session:
        rows, has_more = preparations.list_page(session, organization.id, after, limit)
        return page(preparations.all_to_wire(session, rows), has_more=has_more)


@router.post("/preparations/{preparation}/cancel", summary="Cancel a preparation")
def cancel_preparation(
    preparation: PreparationId, organization: CurrentOrganization, service: TheService
) -> Preparation:
    """Cancel a preparation that is queued or running: it stops within seconds, and no file comes of it."""
    with service.memory.database.session() as session:
        return preparations.to_wire(session, preparations.cancel(session, organization.id, preparation))


@router.get("/preparations/{preparation}", summary="Get a preparation")
def retrieve_preparation(
    preparation: PreparationId, organization: CurrentOrganization, service: TheService
) -> Preparation:
    """Get a preparation: how it stands, what each step did, and the files that it has made."""
    with service.memory.database.reading() as session:
        return preparations.to_wire(session, preparations.find(session, organization.id, preparation))
