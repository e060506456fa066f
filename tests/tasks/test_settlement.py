"""Jobs that their flow has left for good: nothing that training has done is lost, and no device is free too early."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from afinador.training import FineTuner
from afinador.training.stopping import Stopped, StopSign
from registry import jobs
from registry.job_life import events, leases, left_jobs
from registry.job_life.left_jobs import is_as_seen, start_settlement
from registry.ledger.tables import File, Job, Lease
from registry.memory import Memory
from registry.tracking.experiments import Experiments
from tasks import ending, following, settlement, trainer
from tasks.attempt import Attempt
from tasks.run_directory import prepare
from tasks.validate import validate_dataset
from tests.registry.belongings import published
from tests.tasks.conftest import Create
from tests.tasks.test_following import Unlogged, kept
from tests.tasks.test_run_directory import claimed, save, told

REASON = "The flow's process 7 on here has ended before the job had"
END_SECONDS = 120
OBEDIENT = """
import pathlib, sys, time
control = pathlib.Path(sys.argv[2]) / "control.json"
while '"pause"' not in control.read_text() and '"cancel"' not in control.read_text():
    time.sleep(0.05)
time.sleep(1)
(control.parent / "stopped").write_text("yes")
"""
DEAF = "import time; time.sleep(600)"


@pytest.fixture
def left_trainer() -> Any:
    """Start a process that is found as the trainer of an attempt is, and has no flow."""
    started: list[subprocess.Popen[bytes]] = []

    def start(attempt: Attempt, program: str = OBEDIENT) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", program, trainer.MODULE, str(attempt.run.path)]
        started.append(subprocess.Popen(words))
        while trainer.MODULE not in psutil.Process(started[-1].pid).cmdline():  # it is another program before
            time.sleep(0.01)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def read(memory: Memory, job: Job) -> Job:
    with memory.database.reading() as session:
        return session.get_one(Job, job.id)


def half_trained(job: Job) -> Attempt:
    """Let a job be trained for seven steps of which nobody has heard."""
    attempt = claimed(job)
    validate_dataset.fn(attempt)
    prepare(attempt)
    with pytest.raises(Stopped):
        stop = StopSign(attempt.run, stop_after=7)
        FineTuner(attempt.run.spec(), attempt.run, attempt=attempt.number, stop=stop).run()
    return attempt


def test_a_cancelled_job_without_a_flow_keeps_all_and_its_device_until_training_has_stopped(
    memory: Memory, create: Create, left_trainer: Callable[..., subprocess.Popen[bytes]]
) -> None:
    experiments = Experiments(memory.settings)  # the first one makes MLflow's tables
    job = create()
    attempt = half_trained(job)
    attempt.run.write_control(attempt.number, None)
    process = left_trainer(attempt)
    with memory.database.session() as session:
        assert leases.take(session, attempt.job(), attempt.number, "host", ["cpu:0"])
        jobs.request_cancel(session, job.organization_id, job.id)
    assert start_settlement(memory, attempt.job(), REASON)
    stands_in = read(memory, job).process_id
    assert stands_in is not None and settlement.__name__ in psutil.Process(stands_in).cmdline()
    end = time.monotonic() + END_SECONDS
    while (seen := read(memory, job)).status == "running":
        with memory.database.reading() as session:
            held = session.scalar(select(Lease.device).where(Lease.job_id == job.id))
        assert held == "cpu:0" or process.poll() == 0, "the device is free, and somebody still trains on it"
        assert time.monotonic() < end, attempt.run.log.read_text()
        time.sleep(0.05)
    assert seen.status == "cancelled" and (attempt.run.path / "stopped").exists()
    assert list(kept(memory, job)) == [7, 4]
    with memory.database.reading() as session:
        assert [row["step"] for row in events.metrics(session, job.organization_id, job.id)] == [1, 2, 3, 4, 5, 6, 7]
        assert session.scalar(select(Lease.device).where(Lease.job_id == job.id)) is None
    while not (seen := read(memory, job)).result_files:
        assert time.monotonic() < end, "its curves are kept right after its end"
        time.sleep(0.05)
    with memory.database.reading() as session:
        assert session.get_one(File, seen.result_files[0]).filename == f"{job.id}.csv"
    while psutil.pid_exists(stands_in) and psutil.Process(stands_in).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)
    with experiments.workspace(attempt.spec.organization) as client:
        run = client.get_run(seen.mlflow_run_id)
    assert (run.info.status, run.data.metrics["train_loss"]) == ("KILLED", last_loss(memory, job))
    assert memory.storage.exists(f"{job.organization_id}/jobs/{job.id}/report.html")


def last_loss(memory: Memory, job: Job) -> float:
    with memory.database.reading() as session:
        loss: float = events.metrics(session, job.organization_id, job.id)[-1]["train_loss"]
    return loss


@pytest.fixture
def exhausted(create: Create, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """The last attempt of a job, without its flow, with a checkpoint that nobody has taken over."""
    monkeypatch.setattr(following, "Curves", Unlogged)
    attempt = claimed(create(settings={"max_attempts": 1}))
    prepare(attempt)
    attempt.run.log_metrics({"step": 1, "train_loss": 2.0})
    save(attempt, 1)
    return attempt


def test_a_job_whose_attempts_are_used_up_fails_with_its_reason_and_keeps_what_it_has(
    memory: Memory, exhausted: Attempt
) -> None:
    settlement.settle(exhausted, None, REASON)
    job = exhausted.job()
    assert (job.status, job.error["code"]) == ("failed", "attempts_exhausted")
    assert job.error["message"].startswith(f"{REASON}. 1 attempt has trained no new step")
    assert list(kept(memory, job)) == [1] and job.result_files


def test_training_that_came_further_than_its_flow_had_seen_goes_on(memory: Memory, exhausted: Attempt) -> None:
    exhausted.run.write_status(attempt=exhausted.number, state="training", step=3, steps=12)
    settlement.settle(exhausted, None, REASON)
    job = exhausted.job()
    assert (job.status, job.reached_step, list(kept(memory, job))) == ("queued", 3, [1])
    assert told(memory, job)[-1].message == f"{REASON}. The job goes on as attempt 2."


def test_a_trainer_that_does_not_stop_is_ended(
    exhausted: Attempt, left_trainer: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = left_trainer(exhausted, DEAF)
    trainer.end_left(exhausted, "cancel", grace_seconds=0.5)
    assert process.wait(10) == -9


def test_the_trainer_of_an_earlier_attempt_is_outlived(
    exhausted: Attempt, left_trainer: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "FORMER_GRACE_SECONDS", 0.5)
    process = left_trainer(exhausted, DEAF)
    trainer.outlive_former(exhausted)
    assert process.wait(10) == -9


def test_a_job_with_nothing_on_this_machine_is_not_settled_by_a_process(
    memory: Memory, exhausted: Attempt, tmp_path: Path
) -> None:
    job = exhausted.job()
    exhausted.run.path.rename(tmp_path / "elsewhere")
    assert not start_settlement(memory, job, REASON)
    (tmp_path / "elsewhere").rename(exhausted.run.path)
    with memory.database.session() as session:
        jobs.set_fields(session, job.id, job.attempt, host="another")
    assert not start_settlement(memory, exhausted.job(), REASON)
    assert exhausted.job().process_id == job.process_id


@pytest.mark.parametrize("request_", ["cancel", "pause", None])
def test_a_job_whose_result_is_in_the_hub_has_succeeded(
    memory: Memory, exhausted: Attempt, request_: str | None
) -> None:
    job = exhausted.job()
    with memory.database.session() as session:
        session.add(published(job))
    settlement.settle(exhausted, request_, REASON)
    job = exhausted.job()
    assert (job.status, job.error, job.fine_tuned_model) == ("succeeded", None, exhausted.spec.output.alias)
    assert job.result_files
    assert told(memory, job)[-1].message == (
        f"Published adapter {exhausted.spec.output.name}, version 1, as {exhausted.spec.output.alias}."
    )


def test_a_process_that_always_dies_does_not_keep_its_job_from_ending(
    memory: Memory, exhausted: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_jobs, "MODULE", "tasks.nothing_of_this_name")
    with memory.database.session() as session:
        jobs.request_cancel(session, exhausted.spec.organization_id, exhausted.job_id)
    assert [start_settlement(memory, exhausted.job(), REASON) for _ in range(4)] == [True, True, True, False]


def test_a_job_that_cannot_be_taken_over_ends_by_the_ledger_alone(
    memory: Memory, exhausted: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = psutil.Process()
    with memory.database.session() as session:
        jobs.request_cancel(session, exhausted.spec.organization_id, exhausted.job_id)
        jobs.set_fields(session, exhausted.job_id, 1, process_id=me.pid, process_started_at=me.create_time())
    (exhausted.run.path / "directory.json").write_text("{")
    monkeypatch.setattr(type(exhausted.run), "write_control", lambda *_: 1 / 0)
    assert settlement.main([exhausted.job_id, "1", REASON, "--request", "cancel"]) == 0
    assert exhausted.job().status == "cancelled"
    assert settlement.main([exhausted.job_id, "1", REASON]) == 1, "it has ended"


def test_what_was_asked_while_training_stopped_counts(memory: Memory, exhausted: Attempt) -> None:
    with memory.database.session() as session:
        jobs.request_cancel(session, exhausted.spec.organization_id, exhausted.job_id)
    settlement.settle(exhausted, None, REASON)
    assert exhausted.job().status == "cancelled"


def test_a_cancel_that_housekeeping_has_not_seen_yet_is_left_to_its_next_round(
    memory: Memory, exhausted: Attempt
) -> None:
    seen = exhausted.job()
    with memory.database.session() as session:
        assert is_as_seen(session, seen)
        jobs.request_cancel(session, seen.organization_id, seen.id)
        assert not is_as_seen(session, seen)


def test_the_trainer_of_an_attempt_before_has_stopped_when_its_job_ends(
    exhausted: Attempt, left_trainer: Callable[..., subprocess.Popen[bytes]]
) -> None:
    exhausted.run.write_status(attempt=exhausted.number, state="training", step=1, steps=12)
    exhausted.run.write_control(exhausted.number, None)
    following.Follower(exhausted)  # as a flow that waits for it, or for a device
    process = left_trainer(exhausted)
    assert ending.stopped(exhausted, "cancel") == "cancelled"
    assert process.poll() == 0
