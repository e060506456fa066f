"""What a run directory says on its way to ledger and storage, whatever was away or killed meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from afinador.errors import AfinadorError, StorageError
from registry.job_life import checkpoints, events, leases
from registry.job_life.job_views import to_wire
from registry.ledger.tables import File, Job, Lease
from registry.memory import Memory
from tasks import artifacts, ending, following
from tasks.attempt import Attempt
from tasks.evaluate import evaluate
from tasks.following import Follower
from tests.tasks.conftest import Create
from tests.tasks.test_run_directory import claimed, keep, save, told


class Unlogged:
    """Takes rows of curves that are not logged: opening MLflow takes seconds, and a thread that may outlive a test."""

    def __init__(self, attempt: Attempt) -> None:
        self.last: dict[str, Any] = {}
        self.opened: tuple[str, str] | None = None

    def add(self, rows: list[dict[str, Any]]) -> None:
        pass

    def close(self, timeout_seconds: float) -> None:
        pass


@pytest.fixture(autouse=True)
def _without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "Curves", Unlogged)


def kept(memory: Memory, job: Job) -> dict[int, dict[str, object]]:
    with memory.database.reading() as session:
        return {row.step_number: row.metrics for row in checkpoints.newest_first(session, job.id)}


def test_a_checkpoint_gets_the_figures_that_are_measured_after_it(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create()
    attempt = claimed(job)
    keep(memory, job, tmp_path, 4, best_step=2)
    attempt.run.log_metrics({"step": 4, "train_loss": 1.0})
    attempt.run.log_metrics({"step": 4, "epoch": 1.0, "valid_loss": 0.5, "accuracy": 0.25})
    Follower(attempt).forward({}, in_prefect=False)
    assert kept(memory, job) == {4: {"step": 4, "valid_loss": 0.5, "accuracy": 0.25}}


def test_both_journals_are_told_in_the_order_in_which_things_happened(memory: Memory, create: Create) -> None:
    job = create()
    attempt = claimed(job)
    attempt.run.log_metrics({"step": 1, "train_loss": 1.0})
    time.sleep(0.002)  # the clock of the journals has milliseconds
    attempt.run.log_event("message", "info", "Between two steps.")
    time.sleep(0.002)
    attempt.run.log_metrics({"step": 2, "train_loss": 0.5})
    Follower(attempt).forward({}, in_prefect=False)
    said = [event.message for event in told(memory, job)]
    assert said[-3:] == ["Step 1: train loss=1.0000", "Between two steps.", "Step 2: train loss=0.5000"]


def test_the_reason_of_a_failure_is_told_once(memory: Memory, create: Create) -> None:
    job = create()
    attempt = claimed(job)
    attempt.run.log_event("failure", "error", "The loss is not a number.", code="not_finite")
    Follower(attempt).forward({}, in_prefect=False)
    ending.failed(attempt, AfinadorError("The loss is not a number.", code="not_finite"))
    said = [event.message for event in told(memory, job) if "not a number" in event.message]
    assert said == ["The job failed: The loss is not a number."]


def test_the_phase_that_goes_on_grows_while_training_says_nothing_and_ends_with_it(
    memory: Memory, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "show_progress", lambda *_: None)
    job = create()
    attempt = claimed(job)
    follower = Follower(attempt)
    at = {"model": "tuned", "what": "answers", "done": 3, "total": 50}
    attempt.run.write_status(
        attempt=attempt.number, state="evaluating", measuring=at, phase_seconds={"training": 9.0, "evaluating": 1.0}
    )
    silent = {**(attempt.run.status() or {}), "heartbeat_at": time.time() - 40}

    def shown() -> Any:
        with memory.database.reading() as session:
            return to_wire(session.get_one(Job, job.id))

    follower.forward(silent)
    assert shown().progress["measuring"] == at
    assert shown().times.phase_seconds["training"] == 9.0 and 41 <= shown().times.phase_seconds["evaluating"] < 60
    Follower(attempt).forward(silent | {"state": "stopped"})
    assert shown().times.phase_seconds["evaluating"] == 1.0
    Follower(attempt).forward({**silent, "heartbeat_at": time.time() - 30_000}, in_prefect=False)
    assert shown().times.phase_seconds["evaluating"] == 1.0, "what is taken over has ended, nobody knows when"


def away(*_: Any) -> None:
    raise StorageError("The storage does not answer.")


def test_a_checkpoint_that_found_the_storage_away_is_there_when_the_job_is_paused(
    memory: Memory, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create()
    attempt = claimed(job)
    save(attempt, 4)
    with monkeypatch.context() as patched:
        patched.setattr(type(memory.storage), "put_folder", away)
        Follower(attempt).forward({}, in_prefect=False)
    assert kept(memory, job) == {}
    assert "Checkpoint 4 is not in the storage: The storage does not answer." in [
        event.message for event in told(memory, job)
    ]
    assert ending.stopped(attempt, "pause") == "paused"
    assert kept(memory, job) == {4: {"step": 4, "train_loss": 1.0}}
    assert memory.storage.local_path(f"{job.organization_id}/jobs/{job.id}/checkpoints/step-000004")


def test_a_checkpoint_that_was_never_announced_is_saved_by_the_next_attempt(memory: Memory, create: Create) -> None:
    """Older ones that the storage has dropped stay dropped, but for the best one, which was not there yet."""
    job = create(validation_file="train.jsonl", settings={"early_stopping_patience": 2, "save_total_limit": 2})
    attempt = claimed(job)
    for step in (2, 4, 6, 8):
        save(attempt, step, best_step=2, keep=4)
    (attempt.run.path / "events.jsonl").unlink()
    with memory.database.session() as session:
        checkpoints.register(session, job, 6, "key", {}, 1)
    Follower(attempt).forward({}, in_prefect=False)
    assert sorted(kept(memory, job)) == [2, 6, 8]
    Follower(attempt).forward({}, in_prefect=False)
    assert sorted(kept(memory, job)) == [2, 6, 8]


@pytest.mark.parametrize(("limit", "steps"), [(1, [6]), (3, [2, 4, 6])])
def test_the_storage_keeps_as_many_checkpoints_as_the_job_says(
    memory: Memory, create: Create, limit: int, steps: list[int]
) -> None:
    job = create(settings={"save_total_limit": limit})
    attempt = claimed(job)
    for step in (2, 4, 6):
        save(attempt, step, best_step=None, keep=4)
    Follower(attempt).forward({}, in_prefect=False)
    assert sorted(kept(memory, job)) == steps


def test_events_and_measurements_keep_kind_and_time_of_the_journal(memory: Memory, create: Create) -> None:
    job = create()
    attempt = claimed(job)
    attempt.run.log_event("epoch", "info", "Epoch 1 of 2 done.", once="epoch 1", epoch=1)
    attempt.run.log_metrics({"step": 6, "train_loss": 1.0})
    written = [rows[0] for rows, _ in (attempt.run.events_after(0), attempt.run.metrics_after(0))]
    Follower(attempt).forward({}, in_prefect=False)
    assert [event.created_at for event in told(memory, job)[-2:]] == [row["timestamp_ms"] / 1000 for row in written]
    with memory.database.reading() as session:
        assert events.journalled(session, job.organization_id, job.id) == [written[0]]


def test_what_a_job_computed_on_stands_in_its_spec(memory: Memory, create: Create) -> None:
    job = create()
    attempt = claimed(job)
    ground = {"device": "cpu", "threads": 2, "deterministic": False, "versions": {"torch": "2.13.0"}}
    attempt.run.log_event("model_loaded", "info", "Loaded.", environment=ground)
    Follower(attempt).forward({}, in_prefect=False)
    with memory.database.reading() as session:
        assert to_wire(session.get_one(Job, job.id)).spec["environment"] == ground


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_that_does_not_succeed_keeps_its_curves_as_a_result_file(
    memory: Memory, create: Create, end: str
) -> None:
    job = create()
    attempt = claimed(job)
    attempt.run.log_metrics({"step": 1, "train_loss": 2.5})
    if end == "failed":
        ending.failed(attempt, StorageError("Gone."))
    else:
        assert ending.stopped(attempt, "cancel") == end
    with memory.database.reading() as session:
        ended = session.get_one(Job, job.id)
        assert ended.status == end
        (file_id,) = ended.result_files
        file = session.get_one(File, file_id)
    assert (file.purpose, file.filename) == ("fine-tune-results", f"{job.id}.csv")
    assert memory.storage.local_path(file.storage_key).read_text().splitlines()[1:] == ["1,2.5,,,"]


def test_only_the_newest_attempt_gives_the_device_back(
    memory: Memory, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create()
    old, new = claimed(job), claimed(job)
    monkeypatch.setattr(artifacts, "show_comparison", lambda *_: None)
    with memory.database.session() as session:
        assert leases.take(session, new.job(), new.number, "host", ["cpu:0"])
    for attempt, is_free in ((old, False), (new, True)):
        evaluate.fn(attempt, SimpleNamespace(follow_until=lambda: None))
        with memory.database.reading() as session:
            assert (session.scalar(select(Lease.device)) is None) == is_free
