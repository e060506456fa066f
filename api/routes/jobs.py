"""Fine-tuning jobs: create, look, stop."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from afinador.config.resolve import parse_request
from afinador.errors import IllegalTransitionError, InvalidRequestError
from afinador.schemas.base import Page
from afinador.schemas.jobs import ENDED_STATUSES, Job, JobRequest
from api.bodies import JsonObject, describes_body
from api.keys import CurrentOrganization
from api.paging import After, page
from api.service import Service, TheService
from registry import jobs
from registry.tables import Organization

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning jobs"])

_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


@router.post("", summary="Create a job", openapi_extra=describes_body(JobRequest))
def create_job(organization: CurrentOrganization, body: JsonObject, service: TheService) -> Job:
    """Create a fine-tuning job. Answers at once; training happens on a worker.

    Takes OpenAI's names (``model``, ``training_file``, ``validation_file``) and ours (``base_model``, ``dataset``,
    ``validation_dataset``).
    """
    request = parse_request(body)
    with service.memory.database.session() as session:
        job = jobs.to_wire(jobs.create(session, service.memory, organization, request))
    service.submit(job.id)
    return job


@router.get("", summary="List jobs")
def list_jobs(
    request: Request,
    organization: CurrentOrganization,
    service: TheService,
    after: After = None,
    limit: int = 20,
    status: Annotated[str | None, Query(description="A state of jobs, for example `running`.")] = None,
) -> Page[Job]:
    """List the organization's jobs, newest first; ``metadata[key]=value`` filters, ``metadata=null`` too."""
    with service.memory.database.reading() as session:
        rows, has_more = jobs.list_page(
            session, organization.id, after=after, limit=limit, status=status, metadata=_metadata_filter(request)
        )
        return page([jobs.to_wire(row) for row in rows], has_more=has_more)


@router.get("/{job}", summary="Get a job")
def retrieve_job(job: str, organization: CurrentOrganization, service: TheService) -> Job:
    """Get a job by its id or name."""
    with service.memory.database.reading() as session:
        return jobs.to_wire(jobs.get(session, organization.id, job))


@router.delete("/{job}", summary="Cancel a job (as DELETE)")
def delete_job(job: str, organization: CurrentOrganization, service: TheService) -> Job:
    """Cancel a job. One that has ended is refused: its record stays."""
    with service.memory.database.session() as session:
        row = jobs.get(session, organization.id, job)
        if row.status in ENDED_STATUSES:
            raise IllegalTransitionError(
                f"The job {row.name!r} has ended ({row.status}); its record stays.", param="job"
            )
    return cancel_job(job, organization, service)


@router.post("/{job}/cancel", summary="Cancel a job")
def cancel_job(job: str, organization: CurrentOrganization, service: TheService) -> Job:
    """Cancel a job. One that runs stops after its current step; until then its status is still ``running``."""
    with service.memory.database.session() as session:
        row = jobs.request_cancel(session, organization.id, job)
        cancelled = jobs.to_wire(row)
    service.cancel_run(row)
    return cancelled


@router.post("/{job}/pause", summary="Pause a job", include_in_schema=False)
def pause_job(job: str, organization: CurrentOrganization, service: TheService) -> Job:
    """Refuse, in so many words: the ledger has no such transition in this version."""
    raise _not_offered(job, organization, service, "paused")


@router.post("/{job}/resume", summary="Resume a job", include_in_schema=False)
def resume_job(job: str, organization: CurrentOrganization, service: TheService) -> Job:
    """Refuse, in so many words: the ledger has no such transition in this version."""
    raise _not_offered(job, organization, service, "resumed")


def _not_offered(job: str, organization: Organization, service: Service, wish: str) -> InvalidRequestError:
    with service.memory.database.reading() as session:
        row = jobs.get(session, organization.id, job)
    return InvalidRequestError(
        f"The job {row.name!r} is {row.status} and cannot be {wish}: pausing and resuming are not offered by this "
        "version. A job can be cancelled.",
        param="job",
        code="not_offered",
    )


def _metadata_filter(request: Request) -> dict[str, str] | Literal["null"] | None:
    """Return ``metadata[k]=v`` as a dictionary, ``"null"`` for jobs without metadata, None without a filter."""
    wanted = {}
    for key, value in request.query_params.multi_items():
        if key == "metadata" and value == "null":
            return "null"
        if found := _METADATA.fullmatch(key):
            wanted[found[1]] = value
    return wanted or None
