"""What a job leaves behind while it runs: events, checkpoints, curves, its log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import HTMLResponse, Response

from afinador.errors import NotFoundError, nearest
from afinador.report.style import CONTENT_SECURITY_POLICY
from afinador.schemas.base import Page
from afinador.schemas.checkpoints import Checkpoint, CheckpointPublication
from afinador.schemas.events import Event
from afinador.schemas.models import HubEntry, HubFile
from api.bodies import OptionalJsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import CheckpointName, FilePath, JobName
from api.service import Service, TheService
from api.streams import follow_events, follow_log, log_text, stored_file
from registry import jobs
from registry.job_life import checkpoints, events, job_logs
from registry.ledger import tables
from registry.prefect_runs import job_reports
from registry.publishing import hub

router = APIRouter(prefix="/fine_tuning/jobs/{job}", tags=["fine-tuning jobs"])

Follow = Annotated[bool, Query(description="Stream server-sent events until the job has ended, then `[DONE]`.")]
LastEventId = Annotated[str | None, Header(description="Where a stream that broke goes on.")]


@router.get("/events", summary="List a job's events", response_model=Page[Event])
def list_events(
    job: JobName,
    organization: CurrentOrganization,
    service: TheService,
    after: After = None,
    limit: Limit = 20,
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
    job: JobName, organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 10
) -> Page[Checkpoint]:
    """List the complete checkpoints, newest first."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        rows, has_more = checkpoints.list_page(session, organization.id, job_id, after, limit)
        return page([checkpoints.to_wire(row) for row in rows], has_more=has_more)


@router.get("/checkpoints/{checkpoint}/files", summary="List the files of a checkpoint")
def list_checkpoint_files(
    job: JobName, checkpoint: CheckpointName, organization: CurrentOrganization, service: TheService
) -> Page[HubFile]:
    """List the files of a checkpoint, named by its id or step, with their sizes and hashes; they load as a model."""
    return page(checkpoints.files_of(service.memory, _checkpoint(job, checkpoint, organization, service)))


@router.get(
    "/checkpoints/{checkpoint}/files/{path:path}", summary="Get a file of a checkpoint", response_class=Response
)
def retrieve_checkpoint_file(
    job: JobName, checkpoint: CheckpointName, path: FilePath, organization: CurrentOrganization, service: TheService
) -> Response:
    """Get the bytes of one file of a checkpoint."""
    row = _checkpoint(job, checkpoint, organization, service)
    known = [file.path for file in checkpoints.files_of(service.memory, row)]
    if path not in known:
        raise NotFoundError(
            f"The checkpoint of step {row.step_number} has no file {path!r}.{nearest(path, known)}",
            param="path",
            code="file_not_found",
        )
    return stored_file(service.memory.storage, f"{row.storage_key}/{path}", path.rpartition("/")[2])


@router.post(
    "/checkpoints/{checkpoint}/publish",
    summary="Publish a checkpoint to the hub",
    openapi_extra=describes_body(CheckpointPublication, required=False),
)
def publish_checkpoint(
    job: JobName,
    checkpoint: CheckpointName,
    organization: CurrentOrganization,
    body: OptionalJsonObject,
    service: TheService,
) -> HubEntry:
    """Publish a checkpoint, named by its id or step, as the newest version of a hub name: what a finished job publishes.

    The job may be in any state. Asking again changes nothing; a checkpoint has one name in the hub. Answers when it is
    there, which takes some seconds a gigabyte.
    """
    name = parsed(CheckpointPublication, body).output_model
    row, memory = _checkpoint(job, checkpoint, organization, service), service.memory
    experiments = service.experiments.get()
    alias = hub.publish_checkpoint(memory, experiments, organization.id, row.job_id, row.id, name).alias
    with memory.database.reading() as session:
        return hub.to_wire(hub.get(session, organization.id, alias))


def _checkpoint(job: str, checkpoint: str, organization: tables.Organization, service: Service) -> tables.Checkpoint:
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        return checkpoints.find(session, organization.id, job_id, checkpoint)


@router.get("/metrics", summary="Get a job's curves")
def list_metrics(job: JobName, organization: CurrentOrganization, service: TheService) -> dict[str, Any]:
    """Get every logged step, oldest first: losses, learning rate, gradient norm, tokens per second."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        return {"object": "list", "data": events.metrics(session, organization.id, job_id), "has_more": False}


@router.get("/resources", summary="Get what a job used")
def list_resources(job: JobName, organization: CurrentOrganization, service: TheService) -> dict[str, Any]:
    """Get a row every five seconds, oldest first: CPU and memory of the job's processes, and its GPU where it has one."""
    with service.memory.database.reading() as session:
        found = jobs.get(session, organization.id, job)
    rows = job_logs.resources(service.memory, found)
    return {"object": "list", "data": rows, "has_more": False}


@router.get("/logs", summary="Get a job's log", response_class=Response)
def read_log(job: JobName, organization: CurrentOrganization, service: TheService, follow: Follow = False) -> Response:
    """Get all that training wrote, as text; a heading opens each attempt: ``=== attempt 2, rank 0, … ===``.

    With ``follow`` line by line as it is written, ``{"line", "attempt", "rank"}``; attempt and rank are null before the
    first heading.
    """
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
    path = job_logs.path_of(service.memory, job_id)
    if follow:
        return follow_log(service, organization.id, job_id, path)
    if path.is_file():
        return log_text(path)
    return Response(job_logs.kept(service.memory, organization.id, job_id), media_type="text/plain; charset=utf-8")


@router.get("/report", summary="Get a job's report", response_class=HTMLResponse)
def read_report(job: JobName, organization: CurrentOrganization, service: TheService) -> HTMLResponse:
    """Get all that is known of a job as one HTML page that stands alone: no script, and nothing is fetched.

    What was asked, data, times, curves, resources, evaluation, checkpoints, attempts, what was published, the ground for
    reproducing it, and the events; in each state what there is.
    """
    with service.memory.database.reading() as session:
        written = job_reports.page_of(session, service.memory, jobs.get(session, organization.id, job))
    return HTMLResponse(written, headers={"content-security-policy": CONTENT_SECURITY_POLICY})
