"""Whose turn it is among waiting jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from registry import jobs, organisations
from registry.job_life import turns
from registry.ledger.tables import Job, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop

Wait = Callable[..., Job]


@pytest.fixture
def wait(ready: Workshop, globex: Organization) -> Iterator[Wait]:
    """Makes a job that waits for the pool cpu."""
    ready.base_model(globex)
    ready.upload(globex)

    def make(organization: Organization, **body: Any) -> Job:
        return ready.job(organization, pool="cpu", **body)

    yield make


def line(memory: Memory) -> list[str]:
    with memory.database.reading() as session:
        return [place.job_id for place in turns.line(session, "cpu")]


def give(memory: Memory, slots: int | None) -> int:
    with memory.database.session() as session:
        return turns.give(session, "cpu", slots)


def have_turns(memory: Memory, waiting: list[Job]) -> list[Job]:
    with memory.database.reading() as session:
        return [job for job in waiting if session.get_one(Job, job.id).turn_at is not None]


def finish(memory: Memory, claim: Claim, job: Job) -> None:
    claimed = claim(job.id)
    with memory.database.session() as session:
        assert jobs.finish(session, job.id, claimed.attempt, "succeeded")


def test_first_come_is_first_served_within_a_priority(memory: Memory, wait: Wait, acme: Organization) -> None:
    first, second, urgent, last = wait(acme), wait(acme), wait(acme, priority=5), wait(acme, priority=-1)
    assert line(memory) == [urgent.id, first.id, second.id, last.id]


def test_many_jobs_of_one_organization_hold_back_no_other(
    memory: Memory, wait: Wait, acme: Organization, globex: Organization
) -> None:
    many = [wait(acme, priority=1000) for _ in range(18)]
    few = [wait(globex) for _ in range(2)]
    positions = [line(memory).index(job.id) + 1 for job in few]
    assert positions == [2, 4], "a job's priority counts within its organization alone"
    assert give(memory, 2) == 2
    assert have_turns(memory, [*many, *few]) == [many[0], few[0]]


def test_with_one_slot_organizations_take_turns(
    memory: Memory, wait: Wait, claim: Claim, acme: Organization, globex: Organization
) -> None:
    waiting = {acme.id: [wait(acme) for _ in range(3)], globex.id: [wait(globex) for _ in range(2)]}
    order = []
    for _ in range(5):
        assert give(memory, 1) == 1
        assert give(memory, 1) == 0
        (job,) = have_turns(memory, [job for rows in waiting.values() for job in rows])
        waiting[job.organization_id].remove(job)
        order.append(job.organization_id)
        finish(memory, claim, job)
    assert order == [acme.id, globex.id, acme.id, globex.id, acme.id]


def test_limit_of_an_organization_leaves_slots_to_others(
    memory: Memory, wait: Wait, acme: Organization, globex: Organization
) -> None:
    of_acme, of_globex = [wait(acme) for _ in range(3)], [wait(globex) for _ in range(3)]
    with memory.database.session() as session:
        organisations.update(session, "acme", concurrency_limit=1)
    assert give(memory, 4) == 4
    assert have_turns(memory, of_acme) == of_acme[:1]
    assert have_turns(memory, of_globex) == of_globex
    assert give(memory, None) == 0, "acme has reached its limit"


def test_organization_of_a_higher_priority_comes_first(
    memory: Memory, wait: Wait, acme: Organization, globex: Organization
) -> None:
    of_acme, of_globex = [wait(acme) for _ in range(2)], [wait(globex) for _ in range(2)]
    with memory.database.session() as session:
        organisations.update(session, "globex", priority=1)
    assert line(memory) == [job.id for job in (*of_globex, *of_acme)]


def test_position_goes_when_the_turn_has_come(memory: Memory, wait: Wait, claim: Claim, acme: Organization) -> None:
    waiting = [wait(acme) for _ in range(3)]

    def positions() -> list[int | None]:
        with memory.database.reading() as session:
            rows = [session.get_one(Job, job.id) for job in waiting]
            found = turns.positions(session, rows)
        return [jobs.to_wire(row, found.get(row.id)).queue_position for row in rows]

    assert positions() == [1, 2, 3]
    assert give(memory, 1) == 1
    assert positions() == [None, 1, 2]
    finish(memory, claim, waiting[0])
    assert positions() == [None, 1, 2]


def test_paused_job_gives_its_turn_back_and_one_that_died_keeps_it(
    memory: Memory, wait: Wait, claim: Claim, acme: Organization
) -> None:
    died, paused, behind = wait(acme), wait(acme), wait(acme)
    assert give(memory, 2) == 2
    attempt = claim(died.id).attempt
    with memory.database.session() as session:
        assert jobs.requeue(session, died.id, attempt, "It died")
        jobs.request_pause(session, acme.id, paused.id)
    assert give(memory, 2) == 1
    assert have_turns(memory, [died, behind]) == [died, behind]
    with memory.database.session() as session:
        session.execute(update(Job).where(Job.id == paused.id).values(flow_run_id="run-9"))
        assert jobs.request_resume(session, acme.id, paused.id).status == "queued"
    assert line(memory) == [paused.id]
    assert give(memory, 2) == 0


def test_slots_are_never_given_twice_at_once(memory: Memory, wait: Wait, acme: Organization) -> None:
    waiting = [wait(acme) for _ in range(6)]
    given: list[int] = []
    threads = [threading.Thread(target=lambda: given.append(give(memory, 2))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 2
    assert have_turns(memory, waiting) == waiting[:2]
