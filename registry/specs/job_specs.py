"""Saved job specs: requests kept under a name. They are checked when saved, and again whenever a job is made of one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.config.resolve import parse_request
from afinador.errors import AfinadorError, InvalidRequestError, NameTakenError, NotFoundError, nearest
from afinador.schemas import job_specs as wire
from registry.creation import job_creation
from registry.ledger.pages import page
from registry.ledger.tables import JobSpec, Organization
from registry.memory import Memory


def create(session: Session, memory: Memory, organization: Organization, wanted: wire.JobSpecRequest) -> JobSpec:
    """Save a request, once everything that it names is found good.

    A name that is in use is refused: a schedule that goes by it would quietly do something else from then on.

    Raises:
        NameTakenError: The organisation has a spec of this name.
        AfinadorError: A job of this request would be refused now; see ``registry.creation.job_creation.create``.
    """
    if session.scalar(_of(organization.id).with_only_columns(JobSpec.id).where(JobSpec.name == wanted.name)):
        raise _taken(wanted.name)
    try:
        request = _checked(session, memory, organization, wanted.request)
    except AfinadorError as error:
        error.param = f"request.{error.param}" if error.param else "request"
        raise
    spec = JobSpec(
        organization_id=organization.id,
        name=wanted.name,
        request=request,
        retrain_on_update=wanted.retrain_on_update,
    )
    try:
        with session.begin_nested():
            session.add(spec)
    except IntegrityError as error:
        raise _taken(wanted.name) from error
    return spec


def _taken(name: str) -> NameTakenError:
    return NameTakenError(
        f"There is a job spec {name!r} already; delete it first, or choose another name.", param="name"
    )


def _checked(session: Session, memory: Memory, organization: Organization, body: dict[str, Any]) -> dict[str, Any]:
    request = parse_request(body)
    if request.name is not None:
        raise InvalidRequestError(
            "A saved request cannot name its jobs, for each job's name is unique; leave 'name' out. Each job is named "
            "after its output_model.",
            param="name",
        )
    spec, _ = job_creation.resolve(session, memory, organization, request)
    # What only a checkpoint has said is written down: a schedule tells its jobs apart by their data.
    found: dict[str, Any] = {"model": spec.base_model.name, "training_file": spec.training_file.file_id}
    if spec.validation_file is not None:
        found["validation_file"] = spec.validation_file.file_id
        if request.validation_file is None and spec.validation_file.reading is not None:
            found["validation_reading"] = spec.validation_file.reading.to_json()
    return found | request.model_dump(exclude_none=True)


def get(session: Session, organization_id: str, id_or_name: str) -> JobSpec:
    """Return a saved spec.

    Raises:
        NotFoundError: The organisation has no such spec; names the nearest.
    """
    query = _of(organization_id).where(or_(JobSpec.id == id_or_name, JobSpec.name == id_or_name))
    found = session.scalars(query).first()
    if found is None:
        names = session.scalars(_of(organization_id).with_only_columns(JobSpec.name).limit(1000))
        raise NotFoundError(
            f"There is no job spec {id_or_name!r} in this organization; `afinador list job-spec` shows what it has."
            f"{nearest(id_or_name, names)}",
            param="job_spec",
            code="job_spec_not_found",
        )
    return found


def list_page(
    session: Session, organization_id: str, *, after: str | None = None, limit: int = 20
) -> tuple[list[JobSpec], bool]:
    """Return a page of an organisation's saved specs, newest first, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    order = [JobSpec.created_at, JobSpec.id]
    return page(session, _of(organization_id), order, key=JobSpec.id, after=after, limit=limit)


def delete(session: Session, organization_id: str, id_or_name: str) -> JobSpec:
    """Delete a saved spec; its jobs stay, and a schedule that goes by its name fails from now on, saying so.

    Raises:
        NotFoundError: The organisation has no such spec.
    """
    spec = get(session, organization_id, id_or_name)
    session.execute(delete_rows(JobSpec).where(JobSpec.organization_id == organization_id, JobSpec.id == spec.id))
    return spec


def to_wire(row: JobSpec) -> wire.JobSpec:
    """Return a saved spec as it is answered."""
    return wire.JobSpec(
        id=row.id,
        name=row.name,
        organization_id=row.organization_id,
        created_at=int(row.created_at),
        request=row.request,
        retrain_on_update=row.retrain_on_update,
    )


def _of(organization_id: str) -> Select[Any]:
    return select(JobSpec).where(JobSpec.organization_id == organization_id)
