"""Saved specs, and what schedules and new versions of files do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afinador.schemas.job_specs import JobSpecRequest
from registry import jobs
from registry.data_sets import files
from registry.job_life import events
from registry.ledger.tables import Job, JobSpec, Organization
from registry.specs import job_specs, spec_jobs
from registry.specs.spec_jobs import Started

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


OTHER_ROWS = [{"prompt": f"Q{n}", "completion": f"A{n}"} for n in range(20)]


def save(workshop: Workshop, organization: Organization, name: str = "nightly", /, **changed: Any) -> JobSpec:
    retrains = changed.pop("retrain_on_update", True)
    body = {"base_model": "tiny-llama", "dataset": "train.jsonl", "output_model": "bot"} | changed
    wanted = JobSpecRequest(name=name, request=body, retrain_on_update=retrains)
    with workshop.memory.database.session() as session:
        return job_specs.create(session, workshop.memory, organization, wanted)


def start(workshop: Workshop, organization: Organization, spec: JobSpec, *, once: bool = False) -> Started:
    with workshop.memory.database.session() as session:
        return spec_jobs.start(session, workshop.memory, organization, spec, "Made by a test", once=once)


def create(workshop: Workshop, organization: Organization, **fields: Any) -> Job:
    with workshop.memory.database.session() as session:
        return spec_jobs.create(session, workshop.memory, organization, {"job_spec": "nightly", **fields})[0]


def retrain(
    workshop: Workshop, organization: Organization, filename: str = "train.jsonl", version: int = 2
) -> list[Started]:
    with workshop.memory.database.session() as session:
        return spec_jobs.retrain(session, workshop.memory, organization, filename, version)


def all_jobs(workshop: Workshop, organization: Organization) -> list[Job]:
    with workshop.memory.database.reading() as session:
        return jobs.list_page(session, organization.id, limit=100)[0]


def messages(workshop: Workshop, job: Job) -> list[str]:
    with workshop.memory.database.reading() as session:
        return [row.message for row in events.list_page(session, job.organization_id, job.id, limit=100)[0]]


def delete_file(workshop: Workshop, organization: Organization, reference: str) -> None:
    with workshop.memory.database.session() as session:
        files.delete(session, workshop.memory, organization.id, reference)
