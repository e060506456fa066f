"""The result file has OpenAI's columns, and a figure wherever one was measured."""

from __future__ import annotations

from pathlib import Path

from afinador.training.run_dir import RunDir
from tasks.result_file import write_curve


def test_the_result_file_has_a_row_a_step_and_all_that_was_measured(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.log_metrics({"step": 1, "train_loss": 2.5, "train_accuracy": 0.25, "learning_rate": 1e-3})
    run.log_metrics({"step": 2, "train_loss": 1.5, "train_accuracy": 0.5})
    run.log_metrics({"step": 2, "valid_loss": 1.25, "accuracy": 0.75, "perplexity": 3.5})
    assert write_curve(run).read_text().splitlines() == [
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "1,2.5,0.25,,",
        "2,1.5,0.5,1.25,0.75",
    ]
