"""Proofs on a job: asked for, and what they say."""

from __future__ import annotations

from fastapi import APIRouter

from afinador.schemas.base import Page
from afinador.schemas.certificates import Certificate, ResumeProofRequest
from api.bodies import OptionalJsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.paging import After, Limit, page
from api.parameters import JobName
from api.service import TheService
from registry import certificates, jobs

router = APIRouter(prefix="/fine_tuning/jobs/{job}", tags=["fine-tuning jobs"])


@router.post(
    "/verify_resume",
    summary="Prove that a job resumes exactly",
    status_code=202,
    openapi_extra=describes_body(ResumeProofRequest, required=False),
)
def verify_resume(
    job: JobName, organization: CurrentOrganization, body: OptionalJsonObject, service: TheService
) -> Certificate:
    """Train some steps straight, and again with a stop in the middle, and compare weights, optimizer and losses.

    Answers at once with the certificate that is queued; it is made on a worker, like a job.
    """
    steps = parsed(ResumeProofRequest, body).steps
    with service.memory.database.session() as session:
        asked = certificates.to_wire(certificates.verify_resume(session, organization.id, job, steps))
    service.submit_certificates()
    return asked


@router.post("/reproduce", summary="Run a job again and compare its weights", status_code=202)
def reproduce(job: JobName, organization: CurrentOrganization, service: TheService) -> Certificate:
    """Run a job that has succeeded again, and compare the hashes of its weights with what it has published.

    Answers at once with the certificate that is queued; it is made on a worker, like a job.
    """
    with service.memory.database.session() as session:
        asked = certificates.to_wire(certificates.reproduce(session, organization.id, job))
    service.submit_certificates()
    return asked


@router.get("/certificates", summary="List a job's certificates")
def list_certificates(
    job: JobName, organization: CurrentOrganization, service: TheService, after: After = None, limit: Limit = 20
) -> Page[Certificate]:
    """List the proofs that were asked for, newest first."""
    with service.memory.database.reading() as session:
        job_id = jobs.get(session, organization.id, job).id
        rows, has_more = certificates.list_page(session, organization.id, job_id, after, limit)
        return page([certificates.to_wire(row) for row in rows], has_more=has_more)
