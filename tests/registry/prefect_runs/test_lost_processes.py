"""Runs whose process died, never came or came twice: which of them are executed again, and which are closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

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


@pytest.fixture
def submission(prefect: Prefect) -> Callable[..., str]:
    """Makes a run of the form that goes through some states, and returns its id."""

    def make(*states: tuple[str, str], deployment: str = "submit-fine-tune/submission") -> str:
        run_id = prefect.create_run(
            deployment, parameters={}, name="form", tags=[], idempotency_key=uuid4().hex, work_queue="default"
        )
        for type, message in states:
            prefect.set_state(run_id, type, type.title(), message)
        return run_id

    return make


BEGUN = ("RUNNING", "")
CRASHED = ("CRASHED", "Process exited with status code: 1.")


def test_a_submission_whose_process_died_is_executed_again(
    served: Memory, prefect: Prefect, submission: Callable[..., str]
) -> None:
    dead, cancelled = submission(BEGUN), submission(BEGUN, ("CANCELLING", ""))
    submissions.settle(served)
    assert set(prefect.busy_runs("submission")) == {dead, cancelled}, "they have only just begun"
    submissions.settle(served, since=time.time() + 1)
    states = {run_id: prefect.state_history(run_id)[-1] for run_id in (dead, cancelled)}
    assert (states[dead].type, states[dead].name) == ("SCHEDULED", "AwaitingRetry")
    assert states[cancelled].type == "CANCELLED"
    assert prefect.busy_runs("submission") == {}


@pytest.fixture
def all_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "SECOND_REPORT_SECONDS", 0)
    monkeypatch.setattr(submissions, "SECOND_REPORT_SECONDS", 0)


def test_a_submission_that_its_worker_calls_crashed_is_executed_again_once_all_is_reported(
    served: Memory, prefect: Prefect, submission: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    run_id = submission(("PENDING", ""), CRASHED)
    submissions.settle(served)
    assert prefect.state_history(run_id)[-1].type == "CRASHED"
    request.getfixturevalue("all_is_reported")
    for _ in range(2):
        submissions.settle(served)
    assert [state.name for state in prefect.state_history(run_id)][-2:] == ["Crashed", "AwaitingRetry"]


def test_a_submission_that_crashes_each_time_ends_as_failed_and_says_so(
    served: Memory, prefect: Prefect, submission: Callable[..., str], all_is_reported: None
) -> None:
    run_id = submission()
    for _ in range(submissions.MAX_EXECUTIONS):
        for type, message in (BEGUN, CRASHED):
            prefect.set_state(run_id, type, type.title(), message)
        submissions.settle(served)
    *_, state = prefect.state_history(run_id)
    assert state.type == "FAILED" and "gone 3 times" in state.message and CRASHED[1] in state.message
    submissions.settle(served)
    assert prefect.state_history(run_id)[-1] == state


def test_what_was_cancelled_or_crashed_long_ago_or_belongs_to_another_flow_is_not_executed_again(
    served: Memory, prefect: Prefect, submission: Any, all_is_reported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = submission(BEGUN, ("CANCELLING", ""), CRASHED)  # Prefect itself refuses the last one
    cancelled = submission(BEGUN, ("CANCELLED", ""))
    other = submission(BEGUN, CRASHED, deployment="prepare-dataset/submission")
    submissions.settle(served)
    ended = [prefect.state_history(run_id)[-1].type for run_id in (dying, cancelled, other)]
    assert ended == ["CANCELLING", "CANCELLED", "CRASHED"]
    monkeypatch.setattr(submissions, "CRASHED_LATELY_SECONDS", -60)
    long_ago = submission(BEGUN, CRASHED)
    submissions.settle(served)
    assert prefect.state_history(long_ago)[-1].type == "CRASHED"
