"""Jobs and their Prefect runs, on a real Prefect server; a run's process is stood for by a process of this machine."""

from __future__ import annotations

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from afinador.errors import ServiceUnavailableError
from afinador.schemas.preparations import PrepareRequest
from registry import (
    certificate_runs,
    certificates,
    events,
    jobs,
    organisations,
    paused_runs,
    preparation_runs,
    preparations,
    runs,
    settling,
    submissions,
    work_queues,
)
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState
from registry.tables import Job, Organization

START_TIMEOUT_SECONDS = 90


@pytest.fixture(scope="module")
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


def asked(method: str, url: str, **sent: Any) -> httpx.Response:
    """Ask Prefect, again while its SQLite file is locked (503)."""
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while (answer := httpx.request(method, url, timeout=60, **sent)).status_code == 503 and time.monotonic() < end:
        time.sleep(0.2)
    return answer.raise_for_status()


def _make_deployments(url: str) -> None:
    flow = asked("POST", f"{url}/flows/", json={"name": "fine-tune"}).json()["id"]
    for pool in ("gpu", "cpu", "submission"):
        asked("POST", f"{url}/work_pools/", json={"name": pool, "type": "process"})
        body = {"flow_id": flow, "name": pool, "entrypoint": "flows.fine_tuning.fine_tune", "work_pool_name": pool}
        asked("POST", f"{url}/deployments/", json=body)
    beside = (
        ("verify", "cpu", "flows.verification.verify"),
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
def read(memory: Memory) -> Callable[[str], Job]:
    def read(job_id: str) -> Job:
        with memory.database.reading() as session:
            return session.get_one(Job, job_id)

    return read


@pytest.fixture
def submitted(served: Memory, ready: Any, acme: Organization, read: Callable[[str], Job]) -> Job:
    """A queued job with a run that waits in Prefect."""
    job = ready.job(acme)
    assert runs.submit(served, job.id)
    return read(job.id)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that may stand for a flow."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def claim(memory: Memory, job: Job, process_id: int, *, started_at: float | None = None) -> Job:
    """Claim a job as the flow in this process would."""
    born = psutil.Process(process_id).create_time() if started_at is None else started_at
    with memory.database.session() as session:
        claimed = jobs.claim(
            session,
            job.id,
            flow_run_id=job.flow_run_id,
            process_id=process_id,
            process_started_at=born,
            host=socket.gethostname(),
        )
    assert claimed is not None
    return claimed


def claim_by_a_dead_process(memory: Memory, job: Job) -> Job:
    return claim(memory, job, os.getpid(), started_at=1.0)


def ask(memory: Memory, request: Any, job: Job) -> None:
    with memory.database.session() as session:
        request(session, job.organization_id, job.id)


def stop(memory: Memory, job: Job) -> None:
    with memory.database.session() as session:
        assert jobs.stop(session, job.id, job.attempt) is not None


def suspend_as_the_flow(prefect: Prefect, job: Job) -> None:
    """Do what ``suspend_flow_run`` does."""
    prefect.set_state(job.flow_run_id or "", "RUNNING", "Running", "")
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}}
    asked("POST", f"{prefect.url}/flow_runs/{job.flow_run_id}/set_state", json=body)
    assert state_of(prefect, job).name == "Suspended"


def suspend_as_the_ui(prefect: Prefect, job: Job) -> None:
    """Do what the button of Prefect's UI does: a pause that ends by failing the run."""
    soon = datetime.now(UTC) + timedelta(seconds=300)
    details = {"pause_reschedule": True, "pause_timeout": soon.isoformat()}
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}}
    asked("POST", f"{prefect.url}/flow_runs/{job.flow_run_id}/set_state", json=body)
    assert not state_of(prefect, job).is_lasting


def state_of(prefect: Prefect, job: Job) -> RunState:
    return prefect.run_states([job.flow_run_id or ""])[job.flow_run_id or ""]


def run_of(prefect: Prefect, job: Job) -> dict[str, Any]:
    return asked("GET", f"{prefect.url}/flow_runs/{job.flow_run_id}").json()


def messages(memory: Memory, job: Job) -> list[str]:
    with memory.database.reading() as session:
        rows, _ = events.list_page(session, job.organization_id, job.id, after=None, limit=100)
    return [row.message for row in rows]


def test_a_submitted_job_has_a_run_that_says_what_it_is(prefect: Prefect, submitted: Job, acme: Organization) -> None:
    run = run_of(prefect, submitted)
    assert run["name"] == f"{submitted.name} · tiny-llama · lora"
    assert run["parameters"] == {"job_id": submitted.id}
    assert set(run["tags"]) >= {"organization:acme", "base:tiny-llama", "method:lora"}
    assert (run["work_pool_name"], run["work_queue_name"]) == ("cpu", acme.name)
    assert submitted.flow_run_url == f"{prefect.url.removesuffix('/api')}/runs/flow-run/{submitted.flow_run_id}"


def test_a_job_is_submitted_once(served: Memory, prefect: Prefect, submitted: Job, read: Any) -> None:
    assert runs.submit(served, submitted.id)
    assert runs.submit_waiting(served) == 0
    assert read(submitted.id).flow_run_id == submitted.flow_run_id


def test_a_job_goes_to_the_gpu_pool_when_a_worker_there_is_online(
    served: Memory, prefect: Prefect, ready: Any, acme: Organization, read: Any
) -> None:
    heartbeat = {"name": "gpu on test", "heartbeat_interval_seconds": 30}
    asked("POST", f"{prefect.url}/work_pools/gpu/workers/heartbeat", json=heartbeat)
    try:
        anywhere, on_cpu = ready.job(acme), ready.job(acme, pool="cpu")
        assert runs.submit_waiting(served) == 2
        assert run_of(prefect, read(anywhere.id))["work_pool_name"] == "gpu"
        assert run_of(prefect, read(on_cpu.id))["work_pool_name"] == "cpu"
    finally:
        asked("DELETE", f"{prefect.url}/work_pools/gpu/workers/gpu on test")


def test_a_job_without_a_worker_says_for_what_it_waits(served: Memory, submitted: Job) -> None:
    assert any("work pool 'cpu'" in message for message in messages(served, submitted))


def test_a_job_for_a_gpu_that_nobody_has_says_how_to_run_on_the_cpu(
    served: Memory, ready: Any, acme: Organization
) -> None:
    job = ready.job(acme, pool="gpu")
    assert runs.submit(served, job.id)
    (said,) = [message for message in messages(served, job) if "no worker" in message]
    assert "'gpu'" in said and "`pool: cpu`" in said


@pytest.fixture
def one_slot(prefect: Prefect) -> Iterator[None]:
    """The pool cpu takes one run at a time."""
    asked("PATCH", f"{prefect.url}/work_pools/cpu", json={"concurrency_limit": 1})
    yield
    asked("PATCH", f"{prefect.url}/work_pools/cpu", json={"concurrency_limit": None})


def test_jobs_in_line_have_no_run_yet_and_are_told_their_position_and_that_they_are_next(
    served: Memory, one_slot: None, submitted: Job, ready: Any, acme: Organization, read: Any
) -> None:
    second, third = ready.job(acme, pool="cpu"), ready.job(acme, pool="cpu")
    for _ in range(2):
        assert not runs.submit(served, second.id)
        assert runs.submit_waiting(served) == 0
    said = "Waiting for a free slot of the pool 'cpu'; position 1, which is next."
    assert messages(served, second).count(said) == 1
    assert messages(served, third).count("Waiting behind 1 job of the pool 'cpu'; position 2.") == 1
    assert not any("position" in message for message in messages(served, submitted))
    assert any("work pool 'cpu'" in message for message in messages(served, third)), "and that nobody works there"
    ask(served, jobs.request_cancel, submitted)
    assert runs.submit_waiting(served) == 1
    assert read(second.id).flow_run_id is not None and read(third.id).flow_run_id is None
    assert messages(served, third).count(said) == 1, "that it is the next now"


def test_a_resumed_job_waits_for_its_turn_and_its_run_stays_suspended(
    served: Memory, one_slot: None, prefect: Prefect, submitted: Job, ready: Any, acme: Organization, read: Any
) -> None:
    stop_paused(served, prefect, submitted, read)
    other = ready.job(acme, pool="cpu")
    assert runs.submit(served, other.id)
    ask(served, jobs.request_resume, submitted)
    runs.follow_up(served, submitted)
    for _ in range(2):
        runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Suspended")
    ask(served, jobs.request_cancel, other)
    runs.submit_waiting(served)
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")


def test_a_run_that_is_resumed_in_prefect_waits_for_no_turn(
    served: Memory, one_slot: None, prefect: Prefect, submitted: Job, ready: Any, acme: Organization, read: Any
) -> None:
    stop_paused(served, prefect, submitted, read)
    assert runs.submit(served, ready.job(acme, pool="cpu").id)
    ask(served, jobs.request_resume, submitted)
    asked("POST", f"{prefect.url}/flow_runs/{submitted.flow_run_id}/resume", json={})
    runs.settle(served)
    assert read(submitted.id).turn_at is not None, "it would count twice: as waiting, and as a run that may start"


def test_limits_and_priorities_of_organizations_reach_their_queues_in_all_pools(
    served: Memory, prefect: Prefect, submitted: Job, acme: Organization, globex: Organization
) -> None:
    here = served.settings
    with served.database.session() as session:
        organisations.update(session, "globex", priority=5, concurrency_limit=2)
    served.settings = here.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    with pytest.raises(ServiceUnavailableError):
        work_queues.apply(served)
    served.settings = here
    assert [work_queues.apply(served) for _ in range(2)] == [1, 0]
    for pool in ("gpu", "cpu"):
        queues = {
            name: asked("GET", f"{prefect.url}/work_pools/{pool}/queues/{name}").json() for name in ("acme", "globex")
        }
        assert queues["globex"]["priority"] < queues["acme"]["priority"]
        assert (queues["globex"]["concurrency_limit"], queues["acme"]["concurrency_limit"]) == (2, None)
    with served.database.session() as session:
        organisations.update(session, "globex", concurrency_limit=None)
    assert work_queues.apply(served) == 1
    assert asked("GET", f"{prefect.url}/work_pools/cpu/queues/globex").json()["concurrency_limit"] is None


def test_a_job_waits_while_prefect_is_away_and_says_so_once(
    memory: Memory, ready: Any, acme: Organization, read: Any
) -> None:
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    job = ready.job(acme)
    assert not runs.submit(memory, job.id)
    assert not runs.submit(memory, job.id)
    assert read(job.id).status == "queued"
    said = [message for message in messages(memory, job) if "Waiting for Prefect at http://127.0.0.1:9/api" in message]
    assert len(said) == 1


def test_a_job_whose_flow_died_is_executed_again_by_the_same_run(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served)
    again = read(submitted.id)
    assert (again.status, again.attempt, again.flow_run_id) == ("queued", 1, submitted.flow_run_id)
    assert state_of(prefect, submitted).name == "AwaitingRetry"


@pytest.fixture
def cpu_worker(prefect: Prefect) -> Iterator[None]:
    """A worker of the pool cpu that has just reported."""
    heartbeat = {"name": "cpu on test", "heartbeat_interval_seconds": 30}
    asked("POST", f"{prefect.url}/work_pools/cpu/workers/heartbeat", json=heartbeat)
    yield
    asked("DELETE", f"{prefect.url}/work_pools/cpu/workers/cpu on test")


def names_of_states(prefect: Prefect, job: Job) -> list[str]:
    return [state.name for state in prefect.state_history(job.flow_run_id or "")]


def test_a_worker_is_heard_out_before_a_run_is_executed_again(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, cpu_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Running")
    prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "Process exited with status code: -9.")
    runs.settle(served)
    assert state_of(prefect, submitted).name == "Crashed"
    monkeypatch.setattr(settling, "SECOND_REPORT_SECONDS", 0)
    runs.settle(served)
    assert state_of(prefect, submitted).name == "AwaitingRetry"


def test_a_late_second_report_of_a_death_starts_no_second_attempt(
    served: Memory, prefect: Prefect, submitted: Job, cpu_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = "Flow run infrastructure exited with non-zero status code -9."
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "")
    runs.settle(served)
    prefect.set_state(submitted.flow_run_id, "PENDING", "Submitting", "")
    prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", report)
    runs.settle(served)
    assert names_of_states(prefect, submitted).count("AwaitingRetry") == 1
    monkeypatch.setattr(settling, "REPORT_SECONDS", 0)
    runs.settle(served)
    assert names_of_states(prefect, submitted).count("AwaitingRetry") == 2


def test_a_job_that_died_too_often_fails_and_frees_its_pool(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    for _ in range(submitted.spec["hyperparameters"]["max_attempts"]):
        claim_by_a_dead_process(served, submitted)
        prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
        runs.settle(served)
    assert read(submitted.id).status == "failed"
    runs.settle(served, since=time.time() + 1)
    assert state_of(prefect, submitted).type == "FAILED"


def test_a_job_whose_flow_lives_is_left_alone(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served, since=time.time() + 1)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("running", None)
    assert state_of(prefect, submitted).name == "Running"


def test_a_cancel_in_prefect_reaches_a_waiting_job(served: Memory, prefect: Prefect, submitted: Job, read: Any) -> None:
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert read(submitted.id).status == "cancelled"
    assert state_of(prefect, submitted).type == "CANCELLED"


def test_a_cancel_in_prefect_is_a_request_to_a_flow_that_lives(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("running", "cancel")


def test_a_cancel_in_prefect_ends_a_job_whose_flow_died(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("running", "cancel")
    prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "Process exited with status code 1")
    runs.settle(served)
    assert read(submitted.id).status == "cancelled"
    assert state_of(prefect, submitted).type == "CANCELLED"


@pytest.mark.parametrize("by", ["the API", "settle"])
def test_a_job_cancelled_before_it_ran_is_taken_back_from_prefect(
    served: Memory, prefect: Prefect, submitted: Job, by: str
) -> None:
    with served.database.session() as session:
        jobs.request_cancel(session, submitted.organization_id, submitted.id)
    if by == "the API":
        runs.follow_up(served, submitted)
    else:
        runs.settle(served)
    assert state_of(prefect, submitted).type == "CANCELLED"


@pytest.mark.parametrize("by", ["the API", "settle"])
def test_a_job_paused_before_it_ran_has_a_suspended_run_and_goes_on_in_the_same(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell() -> None:
        if by == "the API":
            runs.follow_up(served, submitted)
        else:
            runs.submit_waiting(served)
            runs.settle(served)

    for _ in range(2):
        monkeypatch.setattr(paused_runs, "IN_HAND_SECONDS", 60)
        ask(served, jobs.request_pause, submitted)
        for _ in range(2):
            tell()
            assert state_of(prefect, submitted).name == "Suspending", "out of the sight of workers first"
        monkeypatch.setattr(paused_runs, "IN_HAND_SECONDS", 0)
        for _ in range(2):
            runs.settle(served, since=time.time() + 1)
        assert (state_of(prefect, submitted).name, state_of(prefect, submitted).is_lasting) == ("Suspended", True)
        assert (read(submitted.id).status, read(submitted.id).request_state) == ("paused", None)
        ask(served, jobs.request_resume, submitted)
        tell()
        runs.settle(served)
        assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")
        assert runs.submit_waiting(served) == 0


def test_a_job_resumed_before_its_run_was_suspended_runs_at_once(
    served: Memory, prefect: Prefect, submitted: Job
) -> None:
    for request, name in ((jobs.request_pause, "Suspending"), (jobs.request_resume, "Resuming")):
        ask(served, request, submitted)
        runs.follow_up(served, submitted)
        assert state_of(prefect, submitted).name == name
    run = run_of(prefect, submitted)
    assert datetime.fromisoformat(run["next_scheduled_start_time"]) < datetime.now(UTC) + timedelta(seconds=1)


def test_a_job_paused_while_its_run_begins_is_left_to_its_flow(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    ask(served, jobs.request_pause, submitted)
    prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    runs.follow_up(served, submitted)
    assert state_of(prefect, submitted).type == "PENDING"
    # It was taken by a worker and suspended in the same moment: its process still comes, and must not take the job.
    prefect.suspend(submitted.flow_run_id, "")
    runs.settle(served)
    assert read(submitted.id).request_state == "pause"


def test_a_job_paused_while_prefect_was_away_is_suspended_later(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    here = served.settings
    served.settings = here.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    ask(served, jobs.request_pause, submitted)
    runs.follow_up(served, submitted)
    served.settings = here
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("paused", "Suspending")


@pytest.mark.parametrize("left", ["RUNNING", "CRASHED"])
def test_a_flow_that_dies_while_it_pauses_leaves_a_paused_job_and_a_suspended_run(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, left: str
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    ask(served, jobs.request_pause, submitted)
    prefect.set_state(submitted.flow_run_id, left, left.title(), "")
    for _ in range(2):
        runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("paused", None)
    assert state_of(prefect, submitted).name == "Suspended"


def test_a_paused_job_whose_flow_has_stopped_is_cancelled_with_its_run(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    stop_paused(served, prefect, submitted, read)
    ask(served, jobs.request_cancel, submitted)
    runs.follow_up(served, submitted)
    assert (read(submitted.id).status, state_of(prefect, submitted).type) == ("cancelled", "CANCELLED")


def stop_paused(served: Memory, prefect: Prefect, submitted: Job, read: Any) -> None:
    """Let a job run, pause and suspend itself; its process has gone."""
    claim_by_a_dead_process(served, submitted)
    ask(served, jobs.request_pause, submitted)
    stop(served, read(submitted.id))
    suspend_as_the_flow(prefect, submitted)
    for _ in range(2):
        runs.settle(served, since=time.time() + 1)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("paused", None)


@pytest.mark.parametrize("by_then", ["Resuming", "Pending"])
def test_a_suspended_run_that_somebody_resumes_in_prefect_resumes_its_job(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, by_then: str
) -> None:
    stop_paused(served, prefect, submitted, read)
    asked("POST", f"{prefect.url}/flow_runs/{submitted.flow_run_id}/resume", json={})
    if by_then == "Pending":
        prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", by_then)
    assert "The job was resumed in Prefect." in messages(served, submitted)


def test_a_cancel_in_prefect_ends_a_paused_job(served: Memory, prefect: Prefect, submitted: Job, read: Any) -> None:
    stop_paused(served, prefect, submitted, read)
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).type) == ("cancelled", "CANCELLED")


def test_a_suspension_in_prefect_pauses_the_job_and_outlasts_its_five_minutes(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, sleeper: Any
) -> None:
    running = claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    suspend_as_the_ui(prefect, submitted)
    runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("pausing", "pause")
    stop(served, running)
    for _ in range(2):
        runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("paused", None)
    assert (state_of(prefect, submitted).name, state_of(prefect, submitted).is_lasting) == ("Suspended", True)


def test_a_suspension_in_prefect_pauses_a_job_whose_flow_has_gone_with_it(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    suspend_as_the_ui(prefect, submitted)
    for _ in range(3):
        runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).is_lasting) == ("paused", True)


def test_holding_leaves_what_pauses_and_what_is_paused_as_they_are(
    served: Memory, ready: Any, acme: Organization, submitted: Job, read: Any, sleeper: Any
) -> None:
    paused = ready.job(acme)
    ask(served, jobs.request_pause, paused)
    pausing = claim(served, submitted, sleeper.pid)
    ask(served, jobs.request_pause, pausing)
    assert runs.hold(served) == 1
    assert [(read(job.id).status, read(job.id).request_state) for job in (paused, pausing)] == [
        ("paused", "pause"),
        ("pausing", "pause"),
    ]
    stop(served, pausing)
    assert (runs.hold(served), read(pausing.id).status) == (0, "paused")


def test_a_deleted_run_is_replaced_under_a_new_submission_number(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    asked("DELETE", f"{prefect.url}/flow_runs/{submitted.flow_run_id}")
    runs.settle(served)
    assert runs.submit_waiting(served) == 1
    again = read(submitted.id)
    assert again.submission == submitted.submission + 1
    assert again.flow_run_id not in (None, submitted.flow_run_id)
    assert state_of(prefect, again).type == "SCHEDULED"


def test_a_pending_run_counts_as_stuck_only_when_nobody_can_be_at_it(
    served: Memory, prefect: Prefect, submitted: Job
) -> None:
    prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    assert state_of(prefect, submitted).type == "PENDING"
    runs.settle(served, since=time.time() + 1)
    assert state_of(prefect, submitted).name == "AwaitingRetry"


def test_a_flow_that_cannot_start_fails_its_job_with_the_reason(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    for _ in range(3):
        assert read(submitted.id).status == "queued"
        prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "No module named 'flows'")
        runs.settle(served)
    job = read(submitted.id)
    assert job.status == "failed"
    assert job.error is not None and job.error["code"] == "run_not_started"
    assert "No module named 'flows'" in job.error["message"]


def test_a_held_job_goes_on_and_one_suspended_by_hand_is_paused(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    assert runs.hold(served) == 1
    held = read(submitted.id)
    assert held.request_state == "hold"
    stop(served, held)
    assert runs.hold(served) == 0
    suspend_as_the_flow(prefect, submitted)
    runs.settle(served)
    assert (read(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")

    again = claim(served, submitted, sleeper.pid)
    with served.database.session() as session:
        jobs.requeue(session, again.id, again.attempt, "Its process died.")
    suspend_as_the_flow(prefect, submitted)
    for _ in range(2):
        runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).request_state) == ("paused", None)
    assert state_of(prefect, submitted).name == "Suspended"


def test_a_retry_of_a_succeeded_job_changes_nothing(
    served: Memory, prefect: Prefect, submitted: Job, read: Any, sleeper: Any
) -> None:
    done = claim(served, submitted, sleeper.pid)
    with served.database.session() as session:
        assert jobs.finish(session, done.id, done.attempt, "succeeded")
    prefect.set_state(submitted.flow_run_id, "COMPLETED", "Completed", "")
    runs.settle(served)
    prefect.set_state(submitted.flow_run_id, "SCHEDULED", "AwaitingRetry", "")
    runs.settle(served)
    assert (read(submitted.id).status, read(submitted.id).attempt) == ("succeeded", 1)


def test_health_tells_prefect_and_workers_apart(served: Memory) -> None:
    found = runs.health(served.settings)
    assert found["prefect"]["status"] == "ok"
    assert (found["workers"]["status"], found["workers"]["cpu"]) == ("unavailable", 0)
    away = runs.health(served.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"}))
    assert away["prefect"]["status"] == "unavailable"
    assert "http://127.0.0.1:9/api" in away["prefect"]["message"]


class BusyTwice(http.server.BaseHTTPRequestHandler):
    """Answers 503 twice, as Prefect does while its database is locked, and then 200."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        self.send_response(503 if self.calls <= 2 else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_busy_server_is_asked_again(memory: Memory, tmp_path: Path) -> None:
    BusyTwice.calls = 0
    with http.server.HTTPServer(("127.0.0.1", 0), BusyTwice) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        with Prefect(memory.settings.model_copy(update={"prefect_api_url": url})) as prefect:
            prefect.check()
        server.shutdown()
    assert BusyTwice.calls == 3


def test_an_address_without_prefect_is_named(memory: Memory) -> None:
    settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    with (
        Prefect(settings) as prefect,
        pytest.raises(ServiceUnavailableError, match=re.escape("http://127.0.0.1:9/api")),
    ):
        prefect.check()


def test_a_run_left_cancelling_by_a_dead_flow_is_closed(
    served: Memory, prefect: Prefect, submitted: Job, read: Any
) -> None:
    job = claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    with served.database.session() as session:
        assert jobs.finish(session, job.id, job.attempt, "cancelled")
    runs.settle(served)
    assert state_of(prefect, submitted).type == "CANCELLED"


def test_a_submission_whose_process_died_is_executed_again(served: Memory, prefect: Prefect) -> None:
    dead, cancelled = (
        prefect.create_run(
            "fine-tune/submission", parameters={}, name=name, tags=[], idempotency_key=name, work_queue="default"
        )
        for name in ("dead", "cancelled")
    )
    for run_id, type in ((dead, "RUNNING"), (cancelled, "RUNNING"), (cancelled, "CANCELLING")):
        prefect.set_state(run_id, type, type.title(), "Set by a test.")
    submissions.settle(served)
    assert set(prefect.busy_runs("submission")) == {dead, cancelled}, "they have only just begun"
    submissions.settle(served, since=time.time() + 1)
    states = {run_id: prefect.state_history(run_id)[-1] for run_id in (dead, cancelled)}
    assert (states[dead].type, states[dead].name) == ("SCHEDULED", "AwaitingRetry")
    assert states[cancelled].type == "CANCELLED"
    assert prefect.busy_runs("submission") == {}


SideRows = Callable[[], Any]


@pytest.fixture(params=["certificate", "preparation"])
def side(request: pytest.FixtureRequest, served: Memory, ready: Any, acme: Organization) -> tuple[Any, Any, SideRows]:
    """Something made beside jobs, given to Prefect: what submits and settles it, what claims and ends it, and its row."""
    with served.database.session() as session:
        if request.param == "certificate":
            job = ready.job(acme)
            made: Any = certificates.verify_resume(session, acme.id, job.id, 20)
        else:
            steps = {"file": "train.jsonl", "steps": [{"type": "shuffle"}]}
            made = preparations.create(session, served, acme.id, PrepareRequest.model_validate(steps))
    work, rows = (
        (certificate_runs, certificates) if request.param == "certificate" else (preparation_runs, preparations)
    )
    assert (work.submit_waiting(served), work.submit_waiting(served)) == (1, 0)

    def read() -> Any:
        with served.database.reading() as session:
            return session.get_one(type(made), made.id)

    return work, rows, read


def begin(memory: Memory, rows: Any, row: Any, *, started_at: float) -> None:
    process = {"process_id": os.getpid(), "process_started_at": started_at, "host": socket.gethostname()}
    with memory.database.session() as session:
        if rows is certificates:
            assert rows.claim(session, row.id, row.flow_run_id or "", **process) is not None
        else:
            assert rows.claim(session, row.id, row.flow_run_id or "", process) is not None


def test_what_lost_its_process_beside_jobs_is_made_anew_by_another_run(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, rows, read = side
    first = read()
    work.settle(served)
    assert (read().status, read().flow_run_id) == ("queued", first.flow_run_id), "its run waits for a worker"
    prefect.set_state(first.flow_run_id or "", "RUNNING", "Running", "")
    begin(served, rows, first, started_at=psutil.Process().create_time())
    work.settle(served)
    assert read().status == "running", "its process lives"
    with served.database.session() as session:
        session.get_one(type(first), first.id).process_started_at = 1.0
    work.settle(served)
    again = read()
    assert (again.status, again.submission, again.flow_run_id) == ("queued", 1, None)
    state = prefect.run_state(first.flow_run_id or "")
    assert state is not None and state.type == "CANCELLED", "it holds no slot of its pool"
    assert work.submit_waiting(served) == 1
    assert read().flow_run_id not in (None, first.flow_run_id)


def test_what_is_cancelled_in_prefect_beside_jobs_ends(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, _, read = side
    prefect.set_state(read().flow_run_id or "", "CANCELLED", "Cancelled", "")
    work.settle(served)
    assert read().status == "cancelled"


def test_the_run_of_what_has_ended_is_closed_when_its_process_could_not(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, rows, read = side
    prefect.set_state(read().flow_run_id or "", "RUNNING", "Running", "")
    begin(served, rows, read(), started_at=1.0)
    with served.database.session() as session:
        if rows is certificates:
            document = {"type": "resume", "equal": True, "steps": 7, "resumed_after": 3}
            rows.finish(session, read().id, "succeeded", document=document)
        else:
            rows.finish(session, read().id, "failed", {"code": "no_records", "message": "None is left.", "param": None})
    ended = read().status
    work.settle(served)
    state = prefect.run_state(read().flow_run_id or "")
    assert state is not None and state.type == {"succeeded": "COMPLETED", "failed": "FAILED"}[ended]
    assert (read().status, read().process_id) == (ended, None)


def test_certificates_wait_while_prefect_is_away(memory: Memory, ready: Any, acme: Organization) -> None:
    job = ready.job(acme)
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    with memory.database.session() as session:
        certificates.verify_resume(session, acme.id, job.id, 20)
    assert certificate_runs.submit_waiting(memory) == 0
