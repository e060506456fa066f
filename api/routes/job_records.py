"""What a job leaves behind while it runs: events, checkpoints, curves, its log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from afinador.schemas.base import Page
from afinador.schemas.checkpoints import Checkpoint
from afinador.schemas.events import Event
from api.keys import CurrentOrganization
from api.paging import After, page
from api.service import TheService
from api.streams import follow_events, follow_log, log_text
from registry import checkpoints, events, job_logs, jobs

router = APIRouter(prefix="/fine_tuning/jobs/{job}", tags=["fine-tuning jobs"])

Follow = Annotated[bool, Query(description="Stream server-sent events until the job has ended, then `[DONE]`.")]
LastEventId = Annotated[str | None, Header(description="Where a stream that broke goes on.")]


@router.get("/events", summary="List a job's events", response_model=Page[Event])
def list_events(
    job: str,
    organization: CurrentOrganization,
    service: TheService,
    after: After = None,
    limit: int = 20,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> Page[Event] | Response:
    """List what happened, newest first; with ``follow`` oldest first and then as it happens."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        if follow:
            return follow_events(service, organization.id, job_id, last_event_id or after)
        rows, has_more = events.list_page(session, organization.id, job_id, after, limit)
        return page([events.to_wire(row) for row in rows], has_more=has_more)


@router.get("/checkpoints", summary="List a job's checkpoints")
def list_checkpoints(
    job: str, organization: CurrentOrganization, service: TheService, after: After = None, limit: int = 10
) -> Page[Checkpoint]:
    """List the complete checkpoints, newest first."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        rows, has_more = checkpoints.list_page(session, organization.id, job_id, after, limit)
        return page([checkpoints.to_wire(row) for row in rows], has_more=has_more)


@router.get("/metrics", summary="Get a job's curves")
def list_metrics(job: str, organization: CurrentOrganization, service: TheService) -> dict[str, Any]:
    """Get every logged step, oldest first: losses, learning rate, gradient norm, tokens per second."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        return {"object": "list", "data": events.metrics(session, organization.id, job_id), "has_more": False}


@router.get("/logs", summary="Get a job's log", response_class=Response)
def read_log(job: str, organization: CurrentOrganization, service: TheService, follow: Follow = False) -> Response:
    """Get what training wrote, as text; with ``follow`` line by line as it is written."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
    path = job_logs.path_of(service.memory, job_id)
    if follow:
        return follow_log(service, organization.id, job_id, path)
    if path.is_file():
        return log_text(path)
    return Response(job_logs.kept(service.memory, organization.id, job_id), media_type="text/plain; charset=utf-8")
