"""Waiting, pauses and phases are counted apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from afinador.schemas.jobs import JobTimes
from registry import jobs
from registry.ledger.tables import Job, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop

Stored = Callable[[str], Job]
ALMOST = 5.0
"""Seconds that a step of these tests may take."""


def pass_time(memory: Memory, job_id: str, seconds: float) -> None:
    """Put what was set so far into the past."""
    with memory.database.session() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(status_at=Job.status_at - seconds, created_at=Job.created_at - seconds)
        )


def about(seconds: float) -> object:
    return pytest.approx(seconds, abs=ALMOST)


def test_time_counts_for_the_state_in_which_it_passed(
    ready: Workshop, memory: Memory, acme: Organization, claim: Claim, stored: Stored
) -> None:
    job = ready.job(acme)

    def times() -> JobTimes:
        return jobs.to_wire(stored(job.id)).times

    pass_time(memory, job.id, 100)
    assert times().queue_seconds == about(100)
    claim(job.id)
    pass_time(memory, job.id, 1000)
    assert (times().queue_seconds, times().paused_seconds) == (about(100), 0)
    with memory.database.session() as session:
        jobs.request_pause(session, acme.id, job.id)
        jobs.stop(session, job.id, 1)
    pass_time(memory, job.id, 10_000)
    assert times().paused_seconds == about(10_000)
    with memory.database.session() as session:
        jobs.request_resume(session, acme.id, job.id)
    pass_time(memory, job.id, 200)
    assert (times().queue_seconds, times().paused_seconds) == (about(300), about(10_000))
    claim(job.id)
    pass_time(memory, job.id, 2000)
    with memory.database.session() as session:
        jobs.finish(session, job.id, 2, "succeeded")
    ended = times()
    assert (ended.queue_seconds, ended.paused_seconds, ended.total_seconds) == (
        about(300),
        about(10_000),
        about(13_300),
    )
    assert times() == ended


def test_phases_of_trainer_and_flow_add_up_over_attempts(
    ready: Workshop, memory: Memory, acme: Organization, claim: Claim, stored: Stored
) -> None:
    job = ready.running_job(acme)
    with memory.database.session() as session:
        jobs.add_phase(session, job.id, 1, "validating", 2.0)
        told = {"step": 4, "phase_seconds": {"loading": 1.0, "training": 30.0}, "seconds_per_epoch": [14.0, 15.0]}
        jobs.set_progress(session, job.id, 1, told)
        jobs.requeue(session, job.id, 1, "It died")
    claim(job.id)
    with memory.database.session() as session:
        assert not jobs.add_phase(session, job.id, 1, "validating", 99.0)
        jobs.add_phase(session, job.id, 2, "validating", 0.5)
        jobs.set_progress(session, job.id, 2, {"step": 0, "phase_seconds": {"loading": 2.0, "training": 30.0}})
    times = jobs.to_wire(stored(job.id)).times
    assert times.phase_seconds == {"validating": 2.5, "loading": 2.0, "training": 30.0}
    assert times.seconds_per_epoch == [14.0, 15.0]
