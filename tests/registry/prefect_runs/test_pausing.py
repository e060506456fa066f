"""Jobs are paused, resumed and held through the API and in Prefect, and their runs with them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry import jobs
from registry.ledger.tables import Job, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import paused_runs, runs
from tests.registry.prefect_runs.runs_of_jobs import (
    ask,
    asked,
    claim,
    claim_by_a_dead_process,
    messages,
    run_of,
    state_of,
    stop,
    stop_paused,
    suspend_as_the_flow,
    suspend_as_the_ui,
)


@pytest.mark.parametrize("by", ["the API", "settle"])
def test_a_job_paused_before_it_ran_has_a_suspended_run_and_goes_on_in_the_same(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, by: str, monkeypatch: pytest.MonkeyPatch
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
        assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("paused", None)
        ask(served, jobs.request_resume, submitted)
        tell()
        runs.settle(served)
        assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")
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
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    ask(served, jobs.request_pause, submitted)
    prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    runs.follow_up(served, submitted)
    assert state_of(prefect, submitted).type == "PENDING"
    # It was taken by a worker and suspended in the same moment: its process still comes, and must not take the job.
    prefect.suspend(submitted.flow_run_id, "")
    runs.settle(served)
    assert stored(submitted.id).request_state == "pause"


def test_a_job_paused_while_prefect_was_away_is_suspended_later(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    here = served.settings
    served.settings = here.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    ask(served, jobs.request_pause, submitted)
    runs.follow_up(served, submitted)
    served.settings = here
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("paused", "Suspending")


@pytest.mark.parametrize("left", ["RUNNING", "CRASHED"])
def test_a_flow_that_dies_while_it_pauses_leaves_a_paused_job_and_a_suspended_run(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, left: str
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    ask(served, jobs.request_pause, submitted)
    prefect.set_state(submitted.flow_run_id, left, left.title(), "")
    for _ in range(2):
        runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("paused", None)
    assert state_of(prefect, submitted).name == "Suspended"


@pytest.mark.parametrize("by_then", ["Resuming", "Pending"])
def test_a_suspended_run_that_somebody_resumes_in_prefect_resumes_its_job(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, by_then: str
) -> None:
    stop_paused(served, prefect, submitted, stored)
    asked("POST", f"{prefect.url}/flow_runs/{submitted.flow_run_id}/resume", json={})
    if by_then == "Pending":
        prefect.set_state(submitted.flow_run_id, "PENDING", "Pending", "")
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", by_then)
    assert "The job was resumed in Prefect." in messages(served, submitted)


def test_a_suspension_in_prefect_pauses_the_job_and_outlasts_its_five_minutes(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, sleeper: Any
) -> None:
    running = claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    suspend_as_the_ui(prefect, submitted)
    runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("pausing", "pause")
    stop(served, running)
    for _ in range(2):
        runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("paused", None)
    assert (state_of(prefect, submitted).name, state_of(prefect, submitted).is_lasting) == ("Suspended", True)


def test_a_suspension_in_prefect_pauses_a_job_whose_flow_has_gone_with_it(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    suspend_as_the_ui(prefect, submitted)
    for _ in range(3):
        runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).is_lasting) == ("paused", True)


def test_holding_leaves_what_pauses_and_what_is_paused_as_they_are(
    served: Memory, ready: Any, acme: Organization, submitted: Job, stored: Any, sleeper: Any
) -> None:
    paused = ready.job(acme)
    ask(served, jobs.request_pause, paused)
    pausing = claim(served, submitted, sleeper.pid)
    ask(served, jobs.request_pause, pausing)
    assert runs.hold(served) == 1
    assert [(stored(job.id).status, stored(job.id).request_state) for job in (paused, pausing)] == [
        ("paused", "pause"),
        ("pausing", "pause"),
    ]
    stop(served, pausing)
    assert (runs.hold(served), stored(pausing.id).status) == (0, "paused")


def test_a_held_job_goes_on_and_one_suspended_by_hand_is_paused(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    assert runs.hold(served) == 1
    held = stored(submitted.id)
    assert held.request_state == "hold"
    stop(served, held)
    assert runs.hold(served) == 0
    suspend_as_the_flow(prefect, submitted)
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")

    again = claim(served, submitted, sleeper.pid)
    with served.database.session() as session:
        jobs.requeue(session, again.id, again.attempt, "Its process died.")
    suspend_as_the_flow(prefect, submitted)
    for _ in range(2):
        runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("paused", None)
    assert state_of(prefect, submitted).name == "Suspended"
