"""Step 5: into the hub, and the job is done."""

from __future__ import annotations

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from afinador.errors import ServiceUnavailableError
from registry import jobs
from registry.job_life import job_logs
from registry.job_life.job_ends import publication_message
from registry.ledger.tables import HubVersion
from registry.prefect_runs import job_reports
from registry.publishing.hub_publishing import publish as publish_to_hub
from registry.publishing.hub_publishing import version_of
from registry.tracking.experiments import Experiments
from tasks import artifacts
from tasks.attempt import Attempt
from tasks.following import Follower
from tasks.report import keep_report
from tasks.result_file import keep_result_file
from tasks.retrying import RETRY_DELAYS_SECONDS, is_transient, said
from tasks.stops import stoppable

MLFLOW_TIMEOUT_SECONDS = 60.0


@task(
    task_run_name="publish to hub",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
@stoppable
def publish(attempt: Attempt, follower: Follower) -> str:
    """Publish the weights as a new version of the hub name, register it in MLflow, and end the job.

    Idempotent by job; whatever fails midway leaves nothing half published.

    Returns:
        A sentence that says what was published where.

    Raises:
        ServiceUnavailableError: MLflow is away; tried again.
        StorageError: The storage is away; tried again.
    """
    spec = attempt.spec
    if version_of(attempt.memory, spec.organization_id, spec.output.alias) is None:
        attempt.check()  # once it is published, it is too late to stop
    with said(attempt, "Publishing"):
        return _published(attempt, follower)


def _published(attempt: Attempt, follower: Follower) -> str:
    started_at = time.monotonic()
    opened = follower.curves.close(MLFLOW_TIMEOUT_SECONDS)
    if opened is None:
        raise ServiceUnavailableError("MLflow does not answer, so the result cannot be registered yet.")
    experiments, mlflow_run_id = opened
    organization = attempt.spec.organization
    metrics = (attempt.run.result() or {}).get("metrics") or {}
    experiments.set_final_metrics(organization, mlflow_run_id, metrics)
    version = publish_to_hub(attempt.memory, experiments, attempt.job(), attempt.run.final, metrics)
    experiments.finish(organization, mlflow_run_id, "FINISHED")
    job_logs.keep(attempt.memory, attempt.spec.organization_id, attempt.job_id)
    message = publication_message(version)
    with attempt.memory.database.session() as session:
        keep_result_file(session, attempt)
        jobs.add_phase(session, attempt.job_id, attempt.number, "publishing", time.monotonic() - started_at)
        jobs.finish(session, attempt.job_id, attempt.number, "succeeded", message=message)
    keep_report(attempt, opened)
    artifacts.show_links(attempt, _links(attempt, experiments, mlflow_run_id, version))
    return message


def _links(attempt: Attempt, experiments: Experiments, run_id: str, version: HubVersion) -> dict[str, str]:
    """Return pages of MLflow: a browser has no key, without which the API shows nothing."""
    organization = attempt.spec.organization
    pages = {"report": experiments.run_page(organization, run_id, job_reports.REPORT)}
    if version.mlflow_model_version is not None:
        pages["hub"] = experiments.version_page(organization, version.name, version.mlflow_model_version)
    return {name: f"{attempt.memory.settings.mlflow_url}{page}" for name, page in pages.items()}
