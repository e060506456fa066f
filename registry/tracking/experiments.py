"""The one gateway to MLflow: a run for each job, in the workspace of its organisation.

MLflow is used as a library on its own database; its server is for people's eyes only. Importing it takes two seconds
or more, so that waits until the first use, and every call here sets the workspace: what MLflow remembers of the last
one may be another organisation's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from afinador.config.spec import FineTuningSpec
from afinador.errors import InvalidRequestError
from afinador.settings import Settings
from registry.tracking.mlflow_records import dataset_inputs, metrics_of, params, run_tags
from registry.tracking.mlflow_store import prepare_environment, require_answer, translated, upgrade

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "fine-tuning"
"""Name of the experiment that holds the runs of an organisation."""
MODEL_DEVELOPMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Lets MLflow's pages show runs as trainings, and not as evaluations of prompts."""

__all__ = ["EXPERIMENT", "Experiments", "upgrade"]


class Experiments:
    """MLflow, as far as we ask it. May be shared by threads.

    Every method raises ServiceUnavailableError while MLflow's database is away. On PostgreSQL that is known within
    seconds, on SQLite after 20 s of a lock that another process holds.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: MlflowClient | None = None
        self._ensured: set[str] = set()
        self._lock = threading.Lock()

    def connect(self) -> MlflowClient:
        """Import MLflow and open its database, which takes seconds once and which the first other call does otherwise.

        Returns:
            A client that is bound to no organisation; ``workspace`` gives one that is.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    @contextmanager
    def workspace(self, organization: str) -> Iterator[MlflowClient]:
        """Give MLflow's client, bound to an organisation's workspace, which is made at its first use.

        Args:
            organization: The organisation's name, which is the workspace's.

        Raises:
            NotFoundError: What the calls inside ask for does not exist in this workspace.
            ServiceUnavailableError: MLflow's database is away, or refuses for another reason.
        """
        client = self.connect()
        with translated(self.settings):
            self._enter(client, organization)
            yield client

    def start_run(
        self, spec: FineTuningSpec, existing_run_id: str | None = None, *, tags: dict[str, str] | None = None
    ) -> str:
        """Open the one run of a job, or go on with it: parameters, tags and data sets are there afterwards.

        Args:
            spec: The job's whole specification.
            existing_run_id: What the ledger knows; a run that it does not know is found by the job's id.
            tags: What belongs to this attempt, such as ``attempt`` and ``prefect_url``.

        Returns:
            The run's id.
        """
        from mlflow.entities import Param, RunTag  # heavy: see the module's docstring

        with self.workspace(spec.organization) as client:
            run = _find_run(client, spec.job_id, existing_run_id)
            if run is None:
                run = client.create_run(_experiment_id(client), run_name=spec.job_name, tags=run_tags(spec))
            run_id: str = run.info.run_id
            client.update_run(run_id, status="RUNNING")
            client.log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in params(spec).items()],
                tags=[RunTag(key, value) for key, value in (run_tags(spec) | (tags or {})).items()],
            )
            client.log_inputs(run_id, dataset_inputs(spec))
            return run_id

    def log_metrics(self, organization: str, run_id: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows of ``metrics.jsonl``; a row that is there already changes nothing.

        Args:
            organization: Its name.
            run_id: The job's run.
            rows: Each with ``step`` and ``timestamp_ms`` as measured; every other number is a metric.
        """
        self._log(organization, run_id, [metric for row in rows for metric in metrics_of(row)])

    def log_resources(self, organization: str, run_id: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows of ``resources.jsonl`` as system metrics, ``system/…`` or ``system/rankN/…``.

        Args:
            organization: Its name.
            run_id: The job's run.
            rows: Each with ``timestamp_ms``, ``rank`` where there are several processes, and numbers, also nested ones.
        """
        metrics = []
        for row in rows:
            prefix = f"system/rank{row['rank']}" if "rank" in row else "system"
            metrics += metrics_of(row, prefix)
        self._log(organization, run_id, metrics)

    def set_final_metrics(self, organization: str, run_id: str, metrics: dict[str, Any]) -> None:
        """Set the figures of the end, such as ``{"base": {"loss": 2.1}}``, which becomes ``base/loss``.

        Figures that the run has already are not added again.
        """
        with self.workspace(organization) as client:
            known = client.get_run(run_id).data.metrics
            row = {"timestamp_ms": int(time.time() * 1000), **metrics}
            changed = [metric for metric in metrics_of(row) if known.get(metric.key) != metric.value]
            if changed:
                client.log_batch(run_id, metrics=changed)

    def log_report(self, organization: str, run_id: str, page: Path) -> None:
        """Put the page of a job among the artifacts of its run, where MLflow shows it."""
        with self.workspace(organization) as client:
            client.log_artifact(run_id, str(page))

    def finish(self, organization: str, run_id: str, status: str) -> None:
        """End a run; a run that ended with this status keeps its end.

        Args:
            organization: Its name.
            run_id: The job's run.
            status: ``FINISHED``, ``FAILED`` or ``KILLED``.
        """
        with self.workspace(organization) as client:
            if client.get_run(run_id).info.status != status:
                client.set_terminated(run_id, status)

    def run_page(self, organization: str, run_id: str, artifact: str | None = None) -> str:
        """Return the run's page, or that of one of its artifacts, below the address of MLflow's UI."""
        with self.workspace(organization) as client:
            experiment_id = client.get_run(run_id).info.experiment_id
        in_workspace = f"?workspace={organization}"
        part = f"/artifacts/{artifact}" if artifact else ""
        return f"/{in_workspace}#/experiments/{experiment_id}/runs/{run_id}{part}{in_workspace}"

    def version_page(self, organization: str, name: str, version: str) -> str:
        """Return the page of a version of a registered model, below the address of MLflow's UI."""
        in_workspace = f"?workspace={organization}"
        return f"/{in_workspace}#/models/{quote(name, safe='')}/versions/{version}{in_workspace}"

    def _log(self, organization: str, run_id: str, metrics: list[Metric]) -> None:
        if metrics:
            with self.workspace(organization) as client:
                client.log_batch(run_id, metrics=metrics)

    def _open(self) -> MlflowClient:
        prepare_environment()
        with translated(self.settings):
            # MLflow itself would try for almost two minutes.
            require_answer(self.settings)
            upgrade(self.settings)
            from mlflow import MlflowClient

            uri = self.settings.tracking_uri
            return MlflowClient(tracking_uri=uri, registry_uri=uri, workspace_store_uri=uri)

    def _enter(self, client: MlflowClient, organization: str) -> None:
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            if organization not in self._ensured:
                _make_workspace(client, organization, f"{self.settings.bytes_url.rstrip('/')}/mlflow/{organization}")
                self._ensured.add(organization)
            mlflow.set_workspace(organization)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise InvalidRequestError(
                f"The organization {organization!r} cannot have an MLflow workspace of its name: {error.message}",
                param="organization",
            ) from error


def _make_workspace(client: MlflowClient, organization: str, artifact_root: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_workspace(organization)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_workspace(organization, default_artifact_root=artifact_root)
        except MlflowException as taken:
            if taken.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
        return
    if found.default_artifact_root is None:  # MLflow's own workspace "default" comes without one
        client.update_workspace(organization, default_artifact_root=artifact_root)


def _experiment_id(client: MlflowClient) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT, tags=MODEL_DEVELOPMENT)
        except MlflowException as error:
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:  # otherwise another process was faster
                raise error
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _find_run(client: MlflowClient, job_id: str, run_id: str | None) -> Run | None:
    """Find the job's run; one that a person deleted in the UI is as if it had never been."""
    from mlflow.exceptions import MlflowException

    if run_id is not None:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            if run.info.lifecycle_stage == "active":
                return run
    found = client.search_runs([_experiment_id(client)], f"tags.job = '{job_id}'", max_results=1)
    return found[0] if found else None
