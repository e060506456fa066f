"""Attempts: claims, the fence, ends and new starts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from registry import jobs
from registry.job_life import events, leases
from registry.ledger.tables import Attempt, Job, Lease, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop


def attempts(memory: Memory, job_id: str) -> list[tuple[int, str | None]]:
    with memory.database.reading() as session:
        rows = session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number))
        return [(row.number, row.end) for row in rows]


def try_claim(memory: Memory, job_id: str) -> Job | None:
    with memory.database.session() as session:
        return jobs.claim(session, job_id, flow_run_id=None, process_id=1, process_started_at=1.0, host="host-b")


def requeue(memory: Memory, job_id: str, attempt: int) -> bool:
    with memory.database.session() as session:
        return jobs.requeue(session, job_id, attempt, "Its process died.")


def finish(memory: Memory, job_id: str, attempt: int, status: str) -> bool:
    with memory.database.session() as session:
        return jobs.finish(session, job_id, attempt, status)  # type: ignore[arg-type]


def test_claim_makes_the_job_run_and_says_by_whom(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = claim(ready.job(acme).id)
    assert (job.status, job.attempt, job.host, job.process_id) == ("running", 1, "host-a", 4242)
    assert (job.flow_run_id, job.process_started_at) == ("run-1", 1.5)
    assert attempts(ready.memory, job.id) == [(1, None)]


def test_new_claim_closes_the_attempt_before_as_lost(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = claim(ready.job(acme).id)
    assert claim(job.id).attempt == 2
    assert attempts(ready.memory, job.id) == [(1, "lost"), (2, None)]


def test_concurrent_claims_get_different_attempt_numbers(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, hyperparameters={"max_attempts": 10})
    won: list[int] = []

    def claim_once() -> None:
        claimed = try_claim(ready.memory, job.id)
        if claimed is not None:
            won.append(claimed.attempt)

    threads = [threading.Thread(target=claim_once) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [1, 2, 3, 4, 5, 6]
    assert [end for _, end in attempts(ready.memory, job.id)] == ["lost"] * 5 + [None]


def test_claims_by_two_processes_get_different_attempt_numbers(ready: Workshop, acme: Organization, root: Path) -> None:
    job = ready.job(acme)
    script = (
        "from registry.job_life import job_attempts; from registry.ledger.database import Database\n"
        f"with Database({ready.memory.database.url!r}).session() as session:\n"
        f"    print(job_attempts.claim(session, {job.id!r}, flow_run_id=None, process_id=1, process_started_at=1.0, "
        "host='h').attempt)"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert sorted(starter.communicate(timeout=60)[0].strip() for starter in starters) == ["1", "2"]


def test_job_that_waits_for_files_or_has_ended_well_cannot_be_claimed(
    ready: Workshop, acme: Organization, claim: Claim
) -> None:
    ready.upload(acme, "unchecked.jsonl", [{"prompt": "other", "completion": "bytes"}], checked=False)
    waiting = ready.job(acme, training_file="unchecked.jsonl")
    succeeded = claim(ready.job(acme).id)
    finish(ready.memory, succeeded.id, 1, "succeeded")
    cancelled = ready.job(acme)
    with ready.memory.database.session() as session:
        jobs.request_cancel(session, acme.id, cancelled.id)
    for job in (waiting, succeeded, cancelled):
        assert try_claim(ready.memory, job.id) is None
    assert try_claim(ready.memory, "ftjob-nobody") is None


def test_failed_job_that_somebody_tries_again_has_all_its_attempts_anew(
    ready: Workshop, acme: Organization, claim: Claim, stored: Callable[[str], Job]
) -> None:
    job = ready.job(acme, hyperparameters={"max_attempts": 1})
    for number in (1, 2, 3):
        again = claim(job.id)
        assert (again.status, again.error, again.finished_at, again.attempt) == ("running", None, None, number)
        assert not requeue(ready.memory, job.id, number)
        assert stored(job.id).status == "failed"


def test_older_attempt_can_write_nothing(
    ready: Workshop, acme: Organization, claim: Claim, stored: Callable[[str], Job]
) -> None:
    job = claim(ready.job(acme).id)
    claim(job.id)
    before = stored(job.id)
    with ready.memory.database.session() as session:
        assert not jobs.heartbeat(session, job.id, 1)
        assert not jobs.set_progress(session, job.id, 1, {"step": 5})
        assert not jobs.set_fields(session, job.id, 1, trained_tokens=5)
        assert not jobs.mark_done(session, job.id, 1, "train")
        assert not jobs.finish(session, job.id, 1, "succeeded")
        assert not jobs.requeue(session, job.id, 1, "late")
        assert leases.take(session, job, 1, "host-a", ["cpu:0"]) is None
    after = stored(job.id)
    unchanged = ("status", "attempt", "heartbeat_at", "progress", "trained_tokens", "steps_done", "finished_at")
    assert all(getattr(after, name) == getattr(before, name) for name in unchanged)
    with ready.memory.database.session() as session:
        assert jobs.heartbeat(session, job.id, 2)
        assert jobs.finish(session, job.id, 2, "succeeded")


def test_job_ends_once(ready: Workshop, acme: Organization, stored: Callable[[str], Job]) -> None:
    job = ready.running_job(acme)
    assert finish(ready.memory, job.id, 1, "succeeded")
    assert not finish(ready.memory, job.id, 1, "failed")
    assert not requeue(ready.memory, job.id, 1)
    with ready.memory.database.session() as session:
        assert not jobs.heartbeat(session, job.id, 1)
    assert stored(job.id).status == "succeeded"
    assert attempts(ready.memory, job.id) == [(1, "succeeded")]


def test_end_answers_the_request_and_frees_the_devices(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    with ready.memory.database.session() as session:
        assert leases.take(session, job, 1, "host-a", ["cpu:0"]) == ["cpu:0"]
        jobs.request_cancel(session, acme.id, job.id)
    finish(ready.memory, job.id, 1, "cancelled")
    assert stored(job.id).request_state is None
    with ready.memory.database.reading() as session:
        assert session.scalars(select(Lease)).all() == []


def test_dead_attempt_gives_the_job_back_until_its_attempts_are_used_up(
    ready: Workshop, acme: Organization, claim: Claim, stored: Callable[[str], Job]
) -> None:
    job = ready.job(acme, hyperparameters={"max_attempts": 2})
    claim(job.id)
    assert requeue(ready.memory, job.id, 1)
    assert stored(job.id).status == "queued"
    claim(job.id)
    assert not requeue(ready.memory, job.id, 2)
    failed = stored(job.id)
    assert failed.status == "failed" and failed.error is not None
    assert failed.error["message"] == (
        "Its process died. 2 attempts in a row have trained no new step, which is all that max_attempts allows."
    )
    assert attempts(ready.memory, job.id) == [(1, "lost"), (2, "failed")]


def test_only_attempts_without_a_new_step_count(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = ready.job(acme, hyperparameters={"max_attempts": 2})
    reached = [5, 10, 10, 11, 3]  # the first step of an attempt is the first one again, or that behind a checkpoint
    for number, step in enumerate(reached, start=1):
        claim(job.id)
        with ready.memory.database.session() as session:
            for done in range(1, step + 1):
                jobs.set_progress(session, job.id, number, {"step": done})
        assert requeue(ready.memory, job.id, number)
    claim(job.id)
    assert not requeue(ready.memory, job.id, 6)


def test_flow_whose_trainer_died_goes_on_as_the_next_attempt_with_its_devices(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job, other = ready.running_job(acme, hyperparameters={"max_attempts": 2}), ready.running_job(acme)
    with ready.memory.database.session() as session:
        assert leases.take(session, job, 1, "host-a", ["cpu:0"]) == ["cpu:0"]
        again = jobs.start_again(session, job.id, 1, "The trainer died.")
        assert again is not None
        assert (again.attempt, again.status, again.process_id) == (2, "running", 4242)
        assert not jobs.heartbeat(session, job.id, 1)
        assert leases.take(session, other, 1, "host-a", ["cpu:0"]) is None
        assert leases.take(session, again, 2, "host-a", ["cpu:0"]) == ["cpu:0"]
        assert jobs.start_again(session, job.id, 1, "Late.") is None, "it is not the newest"
        assert jobs.start_again(session, job.id, 2, "Again.") is None, "its attempts are used up"
    assert attempts(ready.memory, job.id) == [(1, "lost"), (2, None)]
    with ready.memory.database.reading() as session:
        newest = events.list_page(session, acme.id, job.id)[0][0]
    assert (newest.level, newest.message) == ("warn", "The trainer died.")
    assert stored(job.id).attempt == 2


def test_dead_attempt_of_a_job_to_be_cancelled_ends_it(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    with ready.memory.database.session() as session:
        jobs.request_cancel(session, acme.id, job.id)
    assert not requeue(ready.memory, job.id, 1)
    assert stored(job.id).status == "cancelled"


def test_held_attempts_do_not_count(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = ready.job(acme, hyperparameters={"max_attempts": 1})
    for number in (1, 2, 3):
        assert claim(job.id).attempt == number
        with ready.memory.database.session() as session:
            jobs.set_fields(session, job.id, number, request_state="hold")
            assert jobs.stop(session, job.id, number) == "queued"
    again = claim(job.id)
    assert again.request_state is None
    assert attempts(ready.memory, job.id) == [(1, "held"), (2, "held"), (3, "held"), (4, None)]


def test_step_that_was_done_stays_done_for_later_attempts(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = claim(ready.job(acme).id)
    with ready.memory.database.session() as session:
        assert not jobs.is_done(session, job.id, "train")
        for step in ("validate", "train", "train"):
            assert jobs.mark_done(session, job.id, 1, step)
    claim(job.id)
    with ready.memory.database.session() as session:
        assert jobs.is_done(session, job.id, "validate") and jobs.is_done(session, job.id, "train")
        assert not jobs.is_done(session, job.id, "publish")
        assert session.get_one(Job, job.id).steps_done == ["validate", "train"]


@pytest.mark.parametrize("column", ["status", "attempt", "organization_id", "spec"])
def test_guarded_columns_are_changed_by_their_own_functions_only(memory: Memory, column: str) -> None:
    with memory.database.session() as session, pytest.raises(TypeError, match=column):
        jobs.set_fields(session, "ftjob-any", 1, **{column: "x"})


def test_each_start_and_loss_of_an_attempt_is_an_event(ready: Workshop, acme: Organization, claim: Claim) -> None:
    job = claim(ready.job(acme).id)
    requeue(ready.memory, job.id, 1)
    claim(job.id)
    finish(ready.memory, job.id, 2, "succeeded")
    with ready.memory.database.reading() as session:
        rows, _ = events.list_page(session, acme.id, job.id)
    assert [(row.level, row.message) for row in reversed(rows)][1:] == [
        ("info", "The job has started"),
        ("warn", "Its process died. The job goes on as attempt 2."),
        ("info", "The job has started again (attempt 2)"),
        ("info", "The job has successfully completed"),
    ]
