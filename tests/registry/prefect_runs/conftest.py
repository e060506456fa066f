"""A Prefect server for all tests of this folder, and a job that waits in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from registry.ledger.tables import Job, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs
from tests.registry.prefect_runs.runs_of_jobs import START_TIMEOUT_SECONDS, asked


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with the pools and deployments that jobs need, but no worker."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    home = tmp_path_factory.mktemp("prefect")
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.2",
    }
    command = [sys.executable, "-m", "deployments.prefect_server", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(lambda: httpx.get(f"{url}/health").is_success, server)
        _make_deployments(url)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(answers: Callable[[], bool], server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            if answers():
                return
        except httpx.HTTPError:
            assert server.poll() is None and time.monotonic() < end, "the Prefect server does not start"
        time.sleep(0.2)


def _make_deployments(url: str) -> None:
    flow = asked("POST", f"{url}/flows/", json={"name": "fine-tune"}).json()["id"]
    for pool in ("gpu", "cpu", "submission"):
        asked("POST", f"{url}/work_pools/", json={"name": pool, "type": "process"})
        body = {"flow_id": flow, "name": pool, "entrypoint": "flows.fine_tuning.fine_tune", "work_pool_name": pool}
        asked("POST", f"{url}/deployments/", json=body)
    beside = (
        ("verify", "cpu", "flows.verification.verify"),
        ("submit-fine-tune", "submission", "flows.submission.submit_fine_tune"),
        ("prepare-dataset", "submission", "flows.dataset_preparation.prepare_dataset"),
    )
    for name, pool, entrypoint in beside:
        flow = asked("POST", f"{url}/flows/", json={"name": name}).json()["id"]
        body = {"flow_id": flow, "name": pool, "entrypoint": entrypoint, "work_pool_name": pool}
        asked("POST", f"{url}/deployments/", json=body)


@pytest.fixture
def served(memory: Memory, prefect_url: str) -> Memory:
    """The memory, with Prefect's server."""
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": prefect_url})
    return memory


@pytest.fixture
def prefect(served: Memory) -> Iterator[Prefect]:
    with Prefect(served.settings) as opened:
        yield opened


@pytest.fixture
def submitted(served: Memory, ready: Any, acme: Organization, stored: Callable[[str], Job]) -> Job:
    """A queued job with a run that waits in Prefect."""
    job = ready.job(acme)
    assert runs.submit(served, job.id)
    return stored(job.id)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that may stand for a flow."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()
