"""What a run directory says on its way to ledger and storage, whatever was away or killed meanwhile."""

from __future__ import annotations

from pathlib import Path

from registry import checkpoints
from registry.memory import Memory
from registry.tables import Job
from tasks.following import Follower
from tests.tasks.conftest import Create
from tests.tasks.test_run_directory import claimed, keep


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
