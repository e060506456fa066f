"""From the parameters of a Prefect run to jobs, by the same code as the API's."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import runtime, task
from prefect.artifacts import create_markdown_artifact
from sqlalchemy.orm import Session

from afinador.config.resolve import parse_request
from afinador.errors import InvalidRequestError, ServiceUnavailableError, UnknownFieldError, nearest
from afinador.settings import read_settings
from afinador.wording import shown
from registry import jobs, organisations
from registry.data_sets import files
from registry.ledger.tables import Job, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs, submissions
from registry.specs import job_specs, spec_jobs
from registry.specs.spec_jobs import Started
from tasks.retrying import RETRY_DELAYS_SECONDS, is_transient

RUN_PAGE_SECONDS = 30.0
"""How long to wait for the page of a job's run; a job whose files are still being checked has none."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submission:
    """What has come of a request.

    Attributes:
        error: Why the job failed before it began.
        is_new: Whether the job was made now; else one for the same data was there.
    """

    job_id: str
    organization_id: str
    name: str
    error: str | None
    is_new: bool


@task(
    task_run_name="create job",
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
def create_job(organization: str, request: Any, run_id: str) -> Submission:
    """Create a job of a whole request, or of the saved one that ``job_spec`` names, and submit it.

    The run ``run_id`` may be executed again: it finds the job that it has made.

    Raises:
        AfinadorError: It cannot be created. A saved spec that cannot be run leaves a failed job instead.
    """
    _require(str, "a string, the name of an organization", organization=organization)
    _require(dict, "an object with the fields of a job", request=request)
    request = _given(request)
    memory = _open_for(organization)
    with memory.database.session() as session:
        owner = organisations.get(session, organization)
        made = submissions.job_of(session, owner.id, run_id)
        to_fetch = [] if made else files.require_fetched(session, memory, owner.id, request)
        started = Started(made, is_new=True) if made else _start(session, memory, owner, request)
        if started.is_new:
            started.job.submission_run_id = run_id
    for file_id in to_fetch:  # the job that waits for it is then submitted by housekeeping
        files.check(memory, file_id)
    return _submit(memory, started)


def _open_for(organization: str) -> Memory:
    """Open the memory, and let Prefect find this run by the organisation that it is for, as it finds those of jobs.

    Raises:
        NotFoundError: There is no such organisation.
    """
    memory = Memory.open(read_settings())
    with memory.database.reading() as session:
        tag = f"organization:{organisations.get(session, organization).name}"
    if (run_id := runtime.flow_run.id) is not None and tag not in runtime.flow_run.tags:
        try:
            with Prefect(memory.settings) as prefect:
                prefect.set_tags(run_id, [*runtime.flow_run.tags, tag])
        except ServiceUnavailableError as error:  # a tag is for eyes
            logger.warning("This run has no tag %s: %s", tag, error.message)
    return memory


def _require(type: type[object], words: str, **parameters: object) -> None:
    """Check the types of parameters, which anybody may have typed into Prefect's UI."""
    for name, value in parameters.items():
        if not isinstance(value, type):
            raise InvalidRequestError(f"{name} {_given_as(value)}; it must be {words}.", param=name)


def _given_as(value: object) -> str:
    return "is missing" if value is None else f"is {shown(value)}"


def _given(request: dict[str, Any]) -> dict[str, Any]:
    """Leave out what stayed empty: a form gives an emptied field of text as such.

    Raises:
        InvalidRequestError: It is to be a saved request, and its name stayed empty.
    """
    given = {key: value for key, value in request.items() if not _is_empty(value)}
    if isinstance(settings := given.get("hyperparameters"), dict):
        given["hyperparameters"] = {key: value for key, value in settings.items() if not _is_empty(value)}
    if "job_spec" in request and not given:
        raise InvalidRequestError(
            "job_spec is empty; give the name of a saved job spec, as `afinador list job-spec` shows it, or the fields of a "
            "whole request.",
            param="job_spec",
        )
    return given


def _is_empty(value: object) -> bool:
    return value is None or value in ("", {}, [])


def _start(session: Session, memory: Memory, owner: Organization, request: dict[str, Any]) -> Started:
    if "job_spec" not in request:
        job = jobs.create(session, memory, owner, parse_request(request))
        return Started(job, is_new=True)
    for key in request:
        if key != "job_spec":
            raise UnknownFieldError(
                f"request names the saved spec {request['job_spec']!r} and also gives {key!r}; give one or the other."
                f"{nearest(key, ['job_spec'])}",
                param=key,
            )
    spec = job_specs.get(session, owner.id, str(request["job_spec"]))
    return spec_jobs.start(session, memory, owner, spec, f"Made from the saved spec {spec.name!r}")


@task(
    task_run_name="start the specs that name {name}",
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
def retrain_specs(organization: str, name: str, version: int) -> list[Submission]:
    """Start every saved spec that gives the file by name, unless that was done for its newest version.

    Raises:
        InvalidRequestError: A parameter is of another type than it should be.
        NotFoundError: There is no such organisation, file, or version of it.
    """
    _require(str, "a string", organization=organization, name=name)
    digits = str(version)  # of an event made by hand it may be text
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidRequestError(f"version {_given_as(version)}; it must be a whole number.", param="version")
    memory = _open_for(organization)
    with memory.database.session() as session:
        owner = organisations.get(session, organization)
        all_started = spec_jobs.retrain(session, memory, owner, name, int(digits))
    return [_submit(memory, started) for started in all_started]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _submit(memory: Memory, started: Started) -> Submission:
    """Give a new job to Prefect, and take back the runs of those that it supersedes."""
    for older in started.superseded:
        runs.follow_up(memory, older)
    job = started.job
    if started.is_new and job.status == "queued":
        runs.submit(memory, job.id)
    error = str((job.error or {}).get("message")) if job.status == "failed" else None
    if error and not started.is_new:
        error = f"{error} That has been so since {_moment(job.created_at)}; no further job is made until it changes."
    return Submission(job.id, job.organization_id, job.name, error, started.is_new)


@task(task_run_name="link to the jobs", persist_result=False)
def link_to_jobs(submissions: list[Submission]) -> str:
    """Put links to the runs of the jobs onto this run's page, and return the sentence that ends the run."""
    if not submissions:
        return "No saved spec of this organization gives the file by name and retrains; nothing was to be done."
    memory = Memory.open(read_settings())
    deadline = time.monotonic() + RUN_PAGE_SECONDS
    urls = {each.job_id: _run_page(memory, each, deadline) for each in submissions if not each.error}
    lines = [
        f"- {f'[{each.name}]({url})' if (url := urls.get(each.job_id)) else each.name} (`{each.job_id}`)"
        f"{f': {each.error}' if each.error else ''}"
        for each in submissions
    ]
    create_markdown_artifact("\n".join(lines), description="Jobs of this run")
    return " ".join(_told(each, urls.get(each.job_id)) for each in submissions)


def _told(submission: Submission, url: str | None) -> str:
    if submission.error:
        return submission.error
    what = "Created job" if submission.is_new else "The same spec and data have a job already:"
    return f"{what} {submission.name}{f', see {url}' if url else ''}."


def _run_page(memory: Memory, submission: Submission, deadline: float) -> str | None:
    """Return the page of a job's run, as soon as there is one; None after the deadline, or when the job stands in line."""
    while True:
        with memory.database.reading() as session:
            job: Job = jobs.get(session, submission.organization_id, submission.job_id)
        is_in_line = job.status == "queued" and job.pool is not None and job.turn_at is None
        is_final = is_in_line or job.status not in spec_jobs.WAITING_STATUSES
        if job.flow_run_url or is_final or time.monotonic() > deadline:
            return job.flow_run_url
        time.sleep(0.3)
