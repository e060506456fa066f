"""Which parts the stack has, what each needs, and how each shows that it can be used."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from afinador.errors import ServiceUnavailableError
from afinador.settings import Settings
from deployments.definition import Definition
from deployments.parts import Part
from registry.prefect_api import Prefect
from registry.prefect_runs import submissions


class Plan:
    """The parts of a stack on one machine.

    Args:
        settings: With the ports that were chosen.
        root: The repository.
        python: The interpreter that runs the parts.
        definition: What prefect.yaml says.
        prefect_port: Port of the Prefect server.
        mlflow_port: Port of MLflow's pages, or None to go without.
        started_at: When the supervisor has started, in Unix seconds; what reported before is not ours.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        python: str,
        definition: Definition,
        prefect_port: int,
        mlflow_port: int | None,
        started_at: float,
    ) -> None:
        self.settings, self.root, self.python = settings, root, python
        self.definition, self.started_at = definition, started_at
        self.prefect_port, self.mlflow_port = prefect_port, mlflow_port
        self.prefect_url = settings.prefect_api_url.removesuffix("/api")
        self.mlflow_url = settings.base_url.rpartition(":")[0] + f":{mlflow_port}"

    def parts(self, pools: list[str]) -> list[Part]:
        """Return all parts, with one worker for each of the pools, those that matter most first."""
        workers = [self._worker(pool) for pool in pools]
        essential = [self._database(), self._prefect(), self._api(), self._deployments(), *workers]
        names = [part.name for part in essential]
        later = [self._submission_worker(names)]
        if self.mlflow_port is not None:
            later.append(self._mlflow(names))
        return [*essential, *later]

    def _module(self, *words: str) -> list[str]:
        return [self.python, "-m", *words]

    def _bind(self, port: int | None) -> list[str]:
        return ["--host", self.settings.host, "--port", str(port)]

    def _database(self) -> Part:
        return Part("database", "Ledger and MLflow schemas", self._module("deployments", "db-upgrade"), self.root)

    def _prefect(self) -> Part:
        command = self._module("deployments.prefect_server", *self._bind(self.prefect_port))
        answers = _answers(f"{self.prefect_url}/api/health")
        return Part("prefect", "Prefect", command, self.root, answers=answers, url=self.prefect_url)

    def _api(self) -> Part:
        command = self._module("api", *self._bind(self.settings.port))
        answers = _answers(f"{self.settings.base_url}/health")
        url = self.settings.base_url
        return Part("api", "API", command, self.root, needs=("database",), answers=answers, url=url)

    def _deployments(self) -> Part:
        command = self._module("deployments", "apply")
        return Part(
            "deployments", "Pools and deployments", command, self.root, needs=("prefect",), skip=self._are_applied
        )

    def _worker(self, pool: str) -> Part:
        name = f"{pool} on {socket.gethostname()}"
        return Part(
            f"worker-{pool}",
            f"Worker of pool {pool}",
            self._module("prefect", "worker", "start", "--type", "process", "--pool", pool, "--name", name),
            self.root,
            needs=("database", "deployments"),
            answers=lambda: self._is_online(pool, name),
            url=f"{self.prefect_url}/work-pools/work-pool/{pool}",
        )

    def _submission_worker(self, needs: list[str]) -> Part:
        """Return the worker of what Prefect starts by itself; jobs of the API do not wait for it."""
        part = self._worker(submissions.POOL)
        part.needs, part.is_essential = tuple(needs), False
        part.command[:0] = [
            "env",
            "PREFECT_WORKER_QUERY_SECONDS=2",
        ]  # each question costs Prefect's server 25 ms of work
        return part

    def _mlflow(self, needs: list[str]) -> Part:
        server = self._module(
            "mlflow", "server", *self._bind(self.mlflow_port), "--workers", "1", "--no-serve-artifacts"
        )
        return Part(
            "mlflow",
            "MLflow",
            ["nice", "-n", "10", *server],  # it takes ten seconds of work just when the first job starts
            self.settings.home,  # it would make a folder mlruns in the repository
            needs=tuple(needs),
            answers=_answers(f"{self.mlflow_url}/health"),
            url=self.mlflow_url,
            is_essential=False,
        )

    def _are_applied(self) -> bool:
        """Tell whether Prefect has these very deployments: their version is the digest of all that they depend on."""
        try:
            with Prefect(self.settings) as prefect:
                versions = prefect.deployment_versions()
        except ServiceUnavailableError:
            return False
        wanted = {(each["entrypoint"], each["name"]) for each in self.definition.deployments}
        return all(versions.get(key) == self.definition.digest for key in wanted)

    def _is_online(self, pool: str, name: str) -> bool:
        try:
            with Prefect(self.settings, timeout_seconds=2) as prefect:
                workers = prefect.workers_online(pool)
        except ServiceUnavailableError:
            return False
        return any(worker["name"] == name and _heartbeat_at(worker) >= self.started_at for worker in workers)


def _heartbeat_at(worker: dict[str, Any]) -> float:
    text = worker.get("last_heartbeat_time")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _answers(url: str) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return httpx.get(url, timeout=2, verify=False).is_success  # plain HTTP; certificates take long to read
        except httpx.HTTPError:
            return False

    return answers
