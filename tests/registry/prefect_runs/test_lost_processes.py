"""Runs whose process died, never came or came twice: which of them are executed again, and which are closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from registry import jobs
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs, settling, submissions
from tests.registry.prefect_runs.runs_of_jobs import asked, claim, claim_by_a_dead_process, state_of


def test_a_job_whose_flow_died_is_executed_again_by_the_same_run(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served)
    again = stored(submitted.id)
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
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, cpu_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Running")
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
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    for _ in range(submitted.spec["hyperparameters"]["max_attempts"]):
        claim_by_a_dead_process(served, submitted)
        prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
        runs.settle(served)
    assert stored(submitted.id).status == "failed"
    runs.settle(served, since=time.time() + 1)
    assert state_of(prefect, submitted).type == "FAILED"


def test_a_job_whose_flow_lives_is_left_alone(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    runs.settle(served, since=time.time() + 1)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("running", None)
    assert state_of(prefect, submitted).name == "Running"


def test_a_pending_run_counts_as_stuck_only_when_nobody_can_be_at_it(
    served: Memory, prefect: Prefect, submitted: Job
) -> None:
    prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    assert state_of(prefect, submitted).type == "PENDING"
    runs.settle(served, since=time.time() + 1)
    assert state_of(prefect, submitted).name == "AwaitingRetry"


def test_a_flow_that_cannot_start_fails_its_job_with_the_reason(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    for _ in range(3):
        assert stored(submitted.id).status == "queued"
        prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "No module named 'flows'")
        runs.settle(served)
    job = stored(submitted.id)
    assert job.status == "failed"
    assert job.error is not None and job.error["code"] == "run_not_started"
    assert "No module named 'flows'" in job.error["message"]


def test_a_retry_of_a_succeeded_job_changes_nothing(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, sleeper: Any
) -> None:
    done = claim(served, submitted, sleeper.pid)
    with served.database.session() as session:
        assert jobs.finish(session, done.id, done.attempt, "succeeded")
    prefect.set_state(submitted.flow_run_id, "COMPLETED", "Completed", "")
    runs.settle(served)
    prefect.set_state(submitted.flow_run_id, "SCHEDULED", "AwaitingRetry", "")
    runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).attempt) == ("succeeded", 1)


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
