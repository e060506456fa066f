"""A job comes to its run: in which pool and queue, in which turn, and what it is told while it waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from afinador.errors import ServiceUnavailableError
from registry import jobs, organisations
from registry.ledger.tables import Job, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs, work_queues
from tests.registry.prefect_runs.runs_of_jobs import ask, asked, messages, run_of, state_of, stop_paused


def test_a_submitted_job_has_a_run_that_says_what_it_is(prefect: Prefect, submitted: Job, acme: Organization) -> None:
    run = run_of(prefect, submitted)
    assert run["name"] == f"{submitted.name} · tiny-llama · lora"
    assert run["parameters"] == {"job_id": submitted.id}
    assert set(run["tags"]) >= {"organization:acme", "base:tiny-llama", "method:lora"}
    assert (run["work_pool_name"], run["work_queue_name"]) == ("cpu", acme.name)
    assert submitted.flow_run_url == f"{prefect.url.removesuffix('/api')}/runs/flow-run/{submitted.flow_run_id}"


def test_a_job_is_submitted_once(served: Memory, prefect: Prefect, submitted: Job, stored: Any) -> None:
    assert runs.submit(served, submitted.id)
    assert runs.submit_waiting(served) == 0
    assert stored(submitted.id).flow_run_id == submitted.flow_run_id


def test_a_job_goes_to_the_gpu_pool_when_a_worker_there_is_online(
    served: Memory, prefect: Prefect, ready: Any, acme: Organization, stored: Any
) -> None:
    heartbeat = {"name": "gpu on test", "heartbeat_interval_seconds": 30}
    asked("POST", f"{prefect.url}/work_pools/gpu/workers/heartbeat", json=heartbeat)
    try:
        anywhere, on_cpu = ready.job(acme), ready.job(acme, pool="cpu")
        assert runs.submit_waiting(served) == 2
        assert run_of(prefect, stored(anywhere.id))["work_pool_name"] == "gpu"
        assert run_of(prefect, stored(on_cpu.id))["work_pool_name"] == "cpu"
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
    served: Memory, one_slot: None, submitted: Job, ready: Any, acme: Organization, stored: Any
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
    assert stored(second.id).flow_run_id is not None and stored(third.id).flow_run_id is None
    assert messages(served, third).count(said) == 1, "that it is the next now"


def test_a_resumed_job_waits_for_its_turn_and_its_run_stays_suspended(
    served: Memory, one_slot: None, prefect: Prefect, submitted: Job, ready: Any, acme: Organization, stored: Any
) -> None:
    stop_paused(served, prefect, submitted, stored)
    other = ready.job(acme, pool="cpu")
    assert runs.submit(served, other.id)
    ask(served, jobs.request_resume, submitted)
    runs.follow_up(served, submitted)
    for _ in range(2):
        runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Suspended")
    ask(served, jobs.request_cancel, other)
    runs.submit_waiting(served)
    runs.settle(served)
    assert (stored(submitted.id).status, state_of(prefect, submitted).name) == ("queued", "Resuming")


def test_a_run_that_is_resumed_in_prefect_waits_for_no_turn(
    served: Memory, one_slot: None, prefect: Prefect, submitted: Job, ready: Any, acme: Organization, stored: Any
) -> None:
    stop_paused(served, prefect, submitted, stored)
    assert runs.submit(served, ready.job(acme, pool="cpu").id)
    ask(served, jobs.request_resume, submitted)
    asked("POST", f"{prefect.url}/flow_runs/{submitted.flow_run_id}/resume", json={})
    runs.settle(served)
    assert stored(submitted.id).turn_at is not None, "it would count twice: as waiting, and as a run that may start"


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
    memory: Memory, ready: Any, acme: Organization, stored: Any
) -> None:
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    job = ready.job(acme)
    assert not runs.submit(memory, job.id)
    assert not runs.submit(memory, job.id)
    assert stored(job.id).status == "queued"
    said = [message for message in messages(memory, job) if "Waiting for Prefect at http://127.0.0.1:9/api" in message]
    assert len(said) == 1


def test_a_deleted_run_is_replaced_under_a_new_submission_number(
    served: Memory, prefect: Prefect, submitted: Job, stored: Any
) -> None:
    asked("DELETE", f"{prefect.url}/flow_runs/{submitted.flow_run_id}")
    runs.settle(served)
    assert runs.submit_waiting(served) == 1
    again = stored(submitted.id)
    assert again.submission == submitted.submission + 1
    assert again.flow_run_id not in (None, submitted.flow_run_id)
    assert state_of(prefect, again).type == "SCHEDULED"
