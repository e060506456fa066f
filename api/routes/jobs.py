"""Fine-tuning jobs: create, look, stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session

from afinador.config.resolve import parse_request
from afinador.errors import IllegalTransitionError
from afinador.schemas.base import Page
from afinador.schemas.jobs import ENDED_STATUSES, OPEN_STATUSES, Job, JobRequest
from api.bodies import JsonObject, describes_body
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import JobName
from api.service import Service, TheService
from registry import jobs
from registry.data_sets import files
from registry.job_life import turns
from registry.ledger.tables import Job as JobRow
from registry.ledger.tables import Organization
from registry.specs import spec_jobs

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning jobs"])

_STATUSES = f"One of {', '.join((*OPEN_STATUSES, *ENDED_STATUSES))}; pending means queued, and completed succeeded."
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


@router.post("", summary="Create a job", openapi_extra=describes_body(JobRequest))
def create_job(organization: CurrentOrganization, body: JsonObject, service: TheService) -> Job:
    """Create a fine-tuning job. Answers at once; training happens on a worker.

    Takes OpenAI's names (``model``, ``training_file``, ``validation_file``) and ours (``base_model``, ``dataset``,
    ``validation_dataset``). With ``job_spec`` those of a saved request, and others beside it.
    """
    workers_online = service.health.workers_online()
    with service.memory.database.session() as session:
        if body.get("job_spec") is not None:
            row, to_fetch = spec_jobs.create(session, service.memory, organization, body, workers_online)
        else:
            request = parse_request(body)
            to_fetch = files.require_fetched(session, service.memory, organization.id, body)
            row = jobs.create(session, service.memory, organization, request, workers_online=workers_online)
        job = jobs.to_wire(row, workers_online=workers_online)
    for file_id in to_fetch:
        service.check_file(file_id)
    service.submit(job.id)
    return job


@router.get("", summary="List jobs")
def list_jobs(
    request: Request,
    organization: CurrentOrganization,
    service: TheService,
    after: After = None,
    limit: Limit = 20,
    status: Annotated[str | None, Query(description=_STATUSES)] = None,
) -> Page[Job]:
    """List the organization's jobs, newest first; ``metadata[key]=value`` filters, ``metadata=null`` too."""
    with service.memory.database.reading() as session:
        rows, has_more = jobs.list_page(
            session, organization.id, after=after, limit=limit, status=status, metadata=_metadata_filter(request)
        )
        positions, workers_online = turns.positions(session, rows), service.health.workers_online()
        answers = [jobs.to_wire(row, positions.get(row.id), workers_online=workers_online) for row in rows]
        return page(answers, has_more=has_more)


@router.get("/{job}", summary="Get a job")
def retrieve_job(job: JobName, organization: CurrentOrganization, service: TheService) -> Job:
    """Get a job by its id or name."""
    with service.memory.database.reading() as session:
        return _answer(session, jobs.get(session, organization.id, job), service)


@router.delete("/{job}", summary="Cancel a job (as DELETE)")
def delete_job(job: JobName, organization: CurrentOrganization, service: TheService) -> Job:
    """Cancel a job. One that has ended is refused: its record stays."""
    with service.memory.database.session() as session:
        row = jobs.get(session, organization.id, job)
        if row.status in ENDED_STATUSES:
            raise IllegalTransitionError(
                f"The job {row.name!r} has ended ({row.status}); its record stays.", param="job"
            )
    return cancel_job(job, organization, service)


@router.post("/{job}/cancel", summary="Cancel a job")
def cancel_job(job: JobName, organization: CurrentOrganization, service: TheService) -> Job:
    """Cancel a job, in whatever state it is; its last checkpoint stays.

    One that runs stops after its current step; until then its status is still ``running``. Twice is as good as once.
    """
    return _ask(jobs.request_cancel, job, organization, service)


@router.post("/{job}/pause", summary="Pause a job")
def pause_job(job: JobName, organization: CurrentOrganization, service: TheService) -> Job:
    """Pause a job. One that waits is ``paused`` at once; one that runs is ``pausing`` until it has stopped.

    It finishes its step, writes a checkpoint and gives its device back. During validation, loading and evaluation it
    stops at the next safe place; a job that is being published already succeeds instead.
    """
    return _ask(jobs.request_pause, job, organization, service)


@router.post("/{job}/resume", summary="Resume a job")
def resume_job(job: JobName, organization: CurrentOrganization, service: TheService) -> Job:
    """Resume a paused job: it is ``queued`` and goes on in its turn.

    One that is still ``pausing`` goes on as soon as it has stopped; one that waits or runs is left as it is.
    """
    return _ask(jobs.request_resume, job, organization, service)


def _ask(request: Callable[[Session, str, str], JobRow], job: str, organization: Organization, service: Service) -> Job:
    with service.memory.database.session() as session:
        row = request(session, organization.id, job)
        answer = _answer(session, row, service)
    service.follow_up(row)
    return answer


def _answer(session: Session, row: JobRow, service: Service) -> Job:
    position = turns.positions(session, [row]).get(row.id)
    return jobs.to_wire(row, position, workers_online=service.health.workers_online())


def _metadata_filter(request: Request) -> dict[str, str] | Literal["null"] | None:
    """Return ``metadata[k]=v`` as a dictionary, ``"null"`` for jobs without metadata, None without a filter."""
    wanted = {}
    for key, value in request.query_params.multi_items():
        if key == "metadata" and value == "null":
            return "null"
        if found := _METADATA.fullmatch(key):
            wanted[found[1]] = value
    return wanted or None
