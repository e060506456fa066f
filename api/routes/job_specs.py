"""Saved job specs: requests kept under a name, for schedules, triggers and repetition."""

from __future__ import annotations

from fastapi import APIRouter

from afinador.schemas.base import Deleted, Page
from afinador.schemas.job_specs import JobSpec, JobSpecRequest
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import JobSpecName
from api.service import TheService
from registry.data_sets import files
from registry.specs import job_specs

router = APIRouter(prefix="/fine_tuning/job_specs", tags=["saved job specs"])


@router.post("", summary="Save a job spec", openapi_extra=describes_body(JobSpecRequest))
def create_job_spec(organization: CurrentOrganization, body: JsonObject, service: TheService) -> JobSpec:
    """Save the request of a job under a name; it is checked as if the job were created now.

    A name that is in use is refused: delete the spec first.
    """
    wanted = parsed(JobSpecRequest, body)
    with service.memory.database.session() as session:
        to_fetch = files.require_fetched(session, service.memory, organization.id, wanted.request)
        spec = job_specs.to_wire(job_specs.create(session, service.memory, organization, wanted))
    for file_id in to_fetch:
        service.check_file(file_id)
    return spec


@router.get("", summary="List saved job specs")
def list_job_specs(
    organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 20
) -> Page[JobSpec]:
    """List the organization's saved specs, newest first."""
    with service.memory.database.reading() as session:
        rows, has_more = job_specs.list_page(session, organization.id, after=after, limit=limit)
        return page([job_specs.to_wire(row) for row in rows], has_more=has_more)


@router.get("/{job_spec}", summary="Get a saved job spec")
def retrieve_job_spec(job_spec: JobSpecName, organization: CurrentOrganization, service: TheService) -> JobSpec:
    """Get a saved spec by its name or id."""
    with service.memory.database.reading() as session:
        return job_specs.to_wire(job_specs.get(session, organization.id, job_spec))


@router.delete("/{job_spec}", summary="Delete a saved job spec")
def delete_job_spec(job_spec: JobSpecName, organization: CurrentOrganization, service: TheService) -> Deleted:
    """Delete a saved spec. Its jobs stay; schedules that go by its name fail from now on, saying so."""
    with service.memory.database.session() as session:
        return Deleted(id=job_specs.delete(session, organization.id, job_spec).id, object="fine_tuning.job_spec")
