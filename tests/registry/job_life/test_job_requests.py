"""What people ask of jobs: every request in every state, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.errors import IllegalTransitionError
from registry import jobs
from registry.data_sets import files
from registry.job_life import events, leases
from registry.ledger.tables import Attempt, Job, Lease, Organization
from registry.memory import Memory
from tests.registry.belongings import published

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop

REQUESTS = {"cancel": jobs.request_cancel, "pause": jobs.request_pause, "resume": jobs.request_resume}
LEFT = "queued, its flow died"
STATES = {
    "validating_files": ("validating_files", None),
    "queued": ("queued", None),
    LEFT: ("queued", None),
    "running": ("running", None),
    "stopping for the service": ("running", "hold"),
    "being cancelled": ("running", "cancel"),
    "pausing": ("pausing", "pause"),
    "pausing, to be resumed": ("pausing", "resume"),
    "pausing, being cancelled": ("pausing", "cancel"),
    "paused": ("paused", "pause"),
    "paused, Prefect knows": ("paused", None),
    "succeeded": ("succeeded", None),
    "failed": ("failed", None),
    "cancelled": ("cancelled", None),
}
REFUSED = "refused"
TABLE: dict[str, dict[str, Any]] = {
    "validating_files": {"cancel": ("cancelled", None), "pause": ("paused", "pause"), "resume": "same"},
    "queued": {"cancel": ("cancelled", None), "pause": ("paused", "pause"), "resume": "same"},
    LEFT: {"cancel": ("running", "cancel"), "pause": ("pausing", "pause"), "resume": "same"},
    "running": {"cancel": ("running", "cancel"), "pause": ("pausing", "pause"), "resume": "same"},
    "stopping for the service": {"cancel": ("running", "cancel"), "pause": ("pausing", "pause"), "resume": "same"},
    "being cancelled": {"cancel": "same", "pause": REFUSED, "resume": REFUSED},
    "pausing": {"cancel": ("pausing", "cancel"), "pause": "same", "resume": ("pausing", "resume")},
    "pausing, to be resumed": {"cancel": ("pausing", "cancel"), "pause": ("pausing", "pause"), "resume": "same"},
    "pausing, being cancelled": {"cancel": "same", "pause": REFUSED, "resume": REFUSED},
    "paused": {"cancel": ("cancelled", None), "pause": "same", "resume": ("queued", "resume")},
    "paused, Prefect knows": {"cancel": ("cancelled", None), "pause": "same", "resume": ("queued", "resume")},
    "succeeded": {"cancel": REFUSED, "pause": REFUSED, "resume": REFUSED},
    "failed": {"cancel": REFUSED, "pause": REFUSED, "resume": REFUSED},
    "cancelled": {"cancel": "same", "pause": REFUSED, "resume": REFUSED},
}


def in_state(memory: Memory, job_id: str, state: str) -> None:
    status, request_state = STATES[state]
    with memory.database.session() as session:
        columns = {"status": status, "request_state": request_state, "flow_run_id": "run-1"}
        session.execute(update(Job).where(Job.id == job_id).values(**columns))
        if state == LEFT:
            died(session, job_id)


def died(session: Session, job_id: str) -> None:
    """Let the flow of a job die and be noticed."""
    job = jobs.claim(session, job_id, flow_run_id="run-1", process_id=4242, process_started_at=1.5, host="host-a")
    assert job is not None and jobs.requeue(session, job_id, job.attempt, "It died")


def ask(memory: Memory, organization: Organization, request: str, job_id: str) -> Job:
    with memory.database.session() as session:
        return REQUESTS[request](session, organization.id, job_id)


def messages(memory: Memory, job: Job) -> list[str]:
    with memory.database.reading() as session:
        rows, _ = events.list_page(session, job.organization_id, job.id, limit=100)
    return [row.message for row in reversed(rows)]


def stop(memory: Memory, job: Job, request: str | None = None) -> str | None:
    with memory.database.session() as session:
        return jobs.stop(session, job.id, job.attempt, request)


@pytest.mark.parametrize("state", STATES)
def test_every_request_in_every_state(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job], state: str
) -> None:
    for request, expected in TABLE[state].items():
        job = ready.job(acme)
        in_state(ready.memory, job.id, state)
        said_before = messages(ready.memory, job)
        if expected == REFUSED:
            status = STATES[state][0]
            with pytest.raises(IllegalTransitionError, match=rf"(?s){status}.*cannot be .*only jobs that are .* can"):
                ask(ready.memory, acme, request, job.id)
        else:
            ask(ready.memory, acme, request, job.id)
        wanted = STATES[state] if isinstance(expected, str) else expected
        row = stored(job.id)
        assert (row.status, row.request_state) == wanted, f"{request} of a job that is {state}"
        said = messages(ready.memory, job)[len(said_before) :]
        assert len(said) == (0 if isinstance(expected, str) else 1), f"{request} of a job that is {state}: {said}"
        assert (row.finished_at is None) == (row.status != "cancelled" or state == "cancelled")


def test_running_job_pauses_frees_its_device_and_goes_on(
    ready: Workshop, acme: Organization, claim: Claim, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme, hyperparameters={"max_attempts": 1})
    for number in (1, 2, 3):
        running = stored(job.id)
        with ready.memory.database.session() as session:
            assert leases.take(session, running, number, "host-a", ["cpu:0"]) == ["cpu:0"]
        assert ask(ready.memory, acme, "pause", job.id).status == "pausing"
        with ready.memory.database.session() as session:
            assert jobs.heartbeat(session, job.id, number) and jobs.set_progress(session, job.id, number, {"step": 7})
        assert stop(ready.memory, running) == "paused"
        with ready.memory.database.reading() as session:
            assert session.scalars(select(Lease)).all() == []
        assert ask(ready.memory, acme, "resume", job.id).status == "queued"
        assert claim(job.id).request_state is None
    with ready.memory.database.reading() as session:
        ends = session.scalars(select(Attempt.end).where(Attempt.job_id == job.id).order_by(Attempt.number))
        assert list(ends) == ["paused"] * 3 + [None]
    assert "The job is paused after step 7 and holds no device; it goes on when it is resumed." in messages(
        ready.memory, job
    )


@pytest.mark.parametrize(
    ("requests", "status"),
    [
        (("pause",), "paused"),
        (("pause", "resume"), "queued"),
        (("pause", "resume", "pause"), "paused"),
        (("pause", "cancel"), "cancelled"),
        (("cancel",), "cancelled"),
    ],
)
def test_last_word_counts_when_a_job_has_stopped(
    ready: Workshop, acme: Organization, requests: tuple[str, ...], status: str
) -> None:
    stopped, died = ready.running_job(acme), ready.running_job(acme)
    for request in requests:
        for job in (stopped, died):
            ask(ready.memory, acme, request, job.id)
    assert stop(ready.memory, stopped, "pause") == status
    with ready.memory.database.session() as session:
        assert jobs.requeue(session, died.id, died.attempt, "It died.") == (status == "queued")
        assert session.get_one(Job, died.id).status == status
    assert stop(ready.memory, stopped) is None, "an attempt stops once"


def test_pause_that_was_not_begun_is_withdrawn(ready: Workshop, acme: Organization) -> None:
    job = ready.running_job(acme)
    with ready.memory.database.session() as session:
        assert not jobs.withdraw_pause(session, job.id, job.attempt)
    ask(ready.memory, acme, "pause", job.id)
    ask(ready.memory, acme, "resume", job.id)
    with ready.memory.database.session() as session:
        assert jobs.withdraw_pause(session, job.id, job.attempt)
        assert jobs.look(session, job.id) == jobs.Look(attempt=1, status="running", request_state=None)


def test_pausing_job_that_succeeds_first_has_succeeded(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    ask(ready.memory, acme, "pause", job.id)
    with ready.memory.database.session() as session:
        assert jobs.finish(session, job.id, job.attempt, "succeeded")
    assert (stored(job.id).status, stored(job.id).request_state) == ("succeeded", None)


def test_paused_job_is_not_claimed_until_its_run_was_resumed_by_hand(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.job(acme)
    ask(ready.memory, acme, "pause", job.id)

    def try_claim() -> Job | None:
        with ready.memory.database.session() as session:
            return jobs.claim(session, job.id, flow_run_id=None, process_id=1, process_started_at=1.0, host="host-b")

    assert try_claim() is None
    with ready.memory.database.session() as session:
        assert not jobs.resume_by_hand(session, job.id)
        jobs.confirm_suspended(session, job.id)
    assert stored(job.id).request_state is None
    with ready.memory.database.session() as session:
        assert jobs.resume_by_hand(session, job.id)
    assert stored(job.id).status == "queued"
    assert try_claim() is not None


@pytest.mark.parametrize("checked", ["before", "meanwhile", "afterwards"])
def test_job_paused_before_its_files_were_checked_waits_for_them_when_resumed(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job], checked: str
) -> None:
    file = ready.upload(acme, "fresh.jsonl", [{"prompt": "a", "completion": "b"}] * 5, checked=checked == "before")
    job = ready.job(acme, training_file="fresh.jsonl")
    ask(ready.memory, acme, "pause", job.id)
    if checked == "meanwhile":
        files.check(ready.memory, file.id)
        assert stored(job.id).status == "paused"
    resumed = ask(ready.memory, acme, "resume", job.id)
    assert resumed.status == ("validating_files" if checked == "afterwards" else "queued")
    if checked == "afterwards":
        files.check(ready.memory, file.id)
    assert (stored(job.id).status, stored(job.id).request_state) == ("queued", None)
    assert stored(job.id).spec["training_file"]["format"] == "jsonl"


def test_job_paused_on_a_bad_file_fails_with_its_verdict_when_resumed(ready: Workshop, acme: Organization) -> None:
    file = ready.upload(acme, "bad.jsonl", [{"nothing": "of use"}], checked=False)
    job = ready.job(acme, training_file="bad.jsonl")
    ask(ready.memory, acme, "pause", job.id)
    files.check(ready.memory, file.id)
    resumed = ask(ready.memory, acme, "resume", job.id)
    assert resumed.status == "failed" and resumed.error is not None
    assert "bad.jsonl" in resumed.error["message"]


def test_others_can_neither_pause_nor_resume(ready: Workshop, acme: Organization, globex: Organization) -> None:
    job = ready.job(acme)
    for request in REQUESTS:
        with pytest.raises(Exception, match="There is no job"):
            ask(ready.memory, globex, request, job.id)


@pytest.mark.parametrize("state", ["queued", "paused"])
def test_a_job_that_waits_although_its_result_is_in_the_hub_is_not_cancelled(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job], state: str
) -> None:
    job = ready.job(acme)
    in_state(ready.memory, job.id, state)
    with ready.memory.database.session() as session:
        session.add(published(job))
    assert ask(ready.memory, acme, "cancel", job.id).status == "succeeded"
    with pytest.raises(IllegalTransitionError, match="succeeded"):
        ask(ready.memory, acme, "cancel", job.id)
    row = stored(job.id)
    assert (row.status, row.fine_tuned_model) == ("succeeded", job.spec["output"]["alias"])
    assert sum(message.startswith("Published") for message in messages(ready.memory, job)) == 1


def test_a_pause_after_the_death_of_a_flow_outlives_the_one_that_was_on_its_way(
    ready: Workshop, acme: Organization, claim: Claim, stored: Callable[[str], Job]
) -> None:
    job = ready.job(acme)
    in_state(ready.memory, job.id, LEFT)
    assert ask(ready.memory, acme, "pause", job.id).status == "pausing"
    assert (claim(job.id).status, stored(job.id).request_state) == ("pausing", "pause")
    assert (claim(job.id).status, stored(job.id).request_state) == ("running", None), "resumed by hand while it pauses"
