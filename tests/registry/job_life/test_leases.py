"""Leases of devices."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import select

from registry import jobs
from registry.job_life import leases
from registry.ledger.tables import Job, Lease, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop

GPUS = ["cuda:0", "cuda:1"]


def take(memory: Memory, job: Job, devices: list[str] = GPUS, count: int = 1, host: str = "host-a") -> list[str] | None:
    with memory.database.session() as session:
        return leases.take(session, job, job.attempt, host, devices, count)


def held(memory: Memory) -> set[tuple[str, str]]:
    with memory.database.reading() as session:
        return {(lease.host, lease.device) for lease in session.scalars(select(Lease))}


def test_device_is_held_by_one_job_at_a_time(ready: Workshop, acme: Organization) -> None:
    first, second, third = (ready.running_job(acme) for _ in range(3))
    assert take(ready.memory, first) == ["cuda:0"]
    assert take(ready.memory, second) == ["cuda:1"]
    assert take(ready.memory, third) is None
    assert take(ready.memory, third, host="host-b") == ["cuda:0"]
    with ready.memory.database.session() as session:
        leases.free(session, first.id)
    assert take(ready.memory, third) == ["cuda:0"]


def test_asking_again_gives_the_same_devices(ready: Workshop, acme: Organization) -> None:
    job = ready.running_job(acme)
    assert take(ready.memory, job) == take(ready.memory, job) == ["cuda:0"]
    assert take(ready.memory, job, count=2) == GPUS


def test_too_few_free_devices_leave_nothing_taken(ready: Workshop, acme: Organization) -> None:
    first, second = ready.running_job(acme), ready.running_job(acme)
    take(ready.memory, first)
    assert take(ready.memory, second, count=2) is None
    assert held(ready.memory) == {("host-a", "cuda:0")}


def test_device_stays_with_a_job_whose_attempt_died_until_it_runs_elsewhere(
    ready: Workshop, acme: Organization, claim: Claim
) -> None:
    lost, second = ready.running_job(acme), ready.running_job(acme)
    take(ready.memory, lost, ["cpu:0"])
    with ready.memory.database.session() as session:
        session.get_one(Job, lost.id).turn_at = 1.0
        assert jobs.requeue(session, lost.id, 1, "It died")
    assert take(ready.memory, second, ["cpu:0"]) is None, "its trainer may not have stopped yet"
    again = claim(lost.id)
    assert take(ready.memory, second, ["cpu:0"]) is None
    assert take(ready.memory, again, ["cpu:0"]) == ["cpu:0"]
    with ready.memory.database.session() as session:
        jobs.requeue(session, lost.id, 2, "It died")
        elsewhere = {"process_id": 7, "process_started_at": 1.0, "host": "host-b"}
        jobs.claim(session, lost.id, flow_run_id="run-1", **elsewhere)
    assert take(ready.memory, second, ["cpu:0"]) == ["cpu:0"], "the lease of a job that runs elsewhere is stale"
    with ready.memory.database.session() as session:
        jobs.finish(session, second.id, 1, "succeeded")
    assert take(ready.memory, ready.running_job(acme), ["cpu:0"]) == ["cpu:0"]


def test_slots_of_several_hosts_are_held_one_by_one(ready: Workshop, acme: Organization, globex: Organization) -> None:
    slots = ["cpu:0", "cpu:1"]
    running = [ready.running_job(acme) for _ in range(5)]
    taken = [
        take(ready.memory, job, slots, host=host) for job, host in zip(running, ["a", "b", "a", "b", "a"], strict=True)
    ]
    assert taken == [["cpu:0"], ["cpu:0"], ["cpu:1"], ["cpu:1"], None]
    assert len(held(ready.memory)) == 4
    with ready.memory.database.session() as session:
        jobs.finish(session, running[2].id, 1, "succeeded")
    assert take(ready.memory, running[4], slots, host="a") == ["cpu:1"]


def test_concurrent_jobs_never_share_a_device(ready: Workshop, acme: Organization) -> None:
    running = [ready.running_job(acme) for _ in range(4)]
    taken: list[str] = []

    def take_one(job: Job) -> None:
        taken.extend(take(ready.memory, job) or [])

    threads = [threading.Thread(target=take_one, args=(job,)) for job in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == GPUS
