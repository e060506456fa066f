"""Jobs are cancelled through the API and in Prefect, whatever their runs do."""

from __future__ import annotations

from typing import Any

import pytest

from registry import jobs
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs
from tests.registry.prefect_runs.runs_of_jobs import ask, claim, claim_by_a_dead_process, state_of, stop_paused


def test_a_cancel_in_prefect_reaches_a_waiting_job(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert stored(submitted.id).status == "cancelled"
    assert state_of(prefect, submitted).type == "CANCELLED"


def test_a_cancel_in_prefect_is_a_request_to_a_flow_that_lives(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any, sleeper: Any
) -> None:
    claim(served, submitted, sleeper.pid)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("running", "cancel")


def test_a_cancel_in_prefect_ends_a_job_whose_flow_died(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("running", "cancel")
    prefect.set_state(submitted.flow_run_id, "CRASHED", "Crashed", "Process exited with status code 1")
    runs.settle(served)
    assert stored(submitted.id).status == "cancelled"
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


def test_a_paused_job_whose_flow_has_stopped_is_cancelled_with_its_run(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    stop_paused(served, prefect, submitted, stored)
    ask(served, jobs.request_cancel, submitted)
    runs.follow_up(served, submitted)
    assert (stored(submitted.id).status, state_of(prefect, submitted).type) == ("cancelled", "CANCELLED")


def test_a_cancel_in_prefect_ends_a_paused_job(served: Memory, prefect: Prefect, submitted: Job, stored: Any) -> None:
    stop_paused(served, prefect, submitted, stored)
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).type) == ("cancelled", "CANCELLED")


def test_a_run_left_cancelling_by_a_dead_flow_is_closed(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    job = claim_by_a_dead_process(served, submitted)
    prefect.set_state(submitted.flow_run_id, "RUNNING", "Running", "")
    prefect.set_state(submitted.flow_run_id, "CANCELLING", "Cancelling", "")
    with served.database.session() as session:
        assert jobs.finish(session, job.id, job.attempt, "cancelled")
    runs.settle(served)
    assert state_of(prefect, submitted).type == "CANCELLED"
