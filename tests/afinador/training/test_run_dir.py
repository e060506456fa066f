"""Files that others follow while they grow, and the signs by which a run stops."""

from __future__ import annotations

import logging
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.layers import resolve_hyperparameters
from afinador.config.spec import FineTuningSpec
from afinador.errors import InvalidRequestError, TrainingError
from afinador.training import run
from afinador.training.checkpoints import CheckpointDamagedError, complete_checkpoints, save_checkpoint, verify
from afinador.training.progress import Progress
from afinador.training.resources import ResourceSampler
from afinador.training.run_dir import RunDir
from afinador.training.steps import Step
from afinador.training.stopping import FlowProcess, Stopped, StopSign


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def save(run_dir: RunDir, step: int, *, keep: int = 2) -> Path:
    state = {"step": step, "train_loss": 1.0, "valid_loss": None}
    return save_checkpoint(
        run_dir,
        state,
        lambda folder: (folder / "weights").write_text(f"{step}"),
        keep=keep,
    )


def test_cursor_passes_whole_lines_only(run_dir: RunDir) -> None:
    run_dir.log_metrics({"step": 1, "train_loss": 2.0})
    journal = run_dir.path / "metrics.jsonl"
    with journal.open("a") as stream:
        stream.write('{"step": 2, "train')
    rows, cursor = run_dir.metrics_after(0)
    assert [row["step"] for row in rows] == [1]
    with journal.open("a") as stream:
        stream.write('_loss": 1.5}\n')
    rows, end = run_dir.metrics_after(cursor)
    assert rows == [{"step": 2, "train_loss": 1.5}]
    assert run_dir.metrics_after(end) == ([], journal.stat().st_size)


def test_line_of_a_killed_writer_spoils_no_other(run_dir: RunDir) -> None:
    run_dir.log_event("message", "info", "one")
    with (run_dir.path / "events.jsonl").open("a") as stream:
        stream.write('{"sequence": 2, "mess')
    RunDir(run_dir.path).log_event("message", "info", "two", number=2)
    rows, _ = run_dir.events_after(0)
    assert [(row["sequence"], row["message"], row["data"]) for row in rows] == [
        (1, "one", {}),
        (2, "two", {"number": 2}),
    ]


def test_step_in_the_journal_is_not_logged_again_by_another_process(run_dir: RunDir) -> None:
    assert run_dir.log_metrics({"step": 1, "train_loss": 2.0})
    restarted = RunDir(run_dir.path)
    assert not restarted.log_metrics({"step": 1, "train_loss": 2.1})
    assert restarted.log_metrics({"step": 1, "valid_loss": 2.2})
    assert restarted.log_metrics({"step": 2, "train_loss": 1.9})
    assert len(run_dir.metrics_after(0)[0]) == 3


def test_folder_belongs_to_one_process_at_a_time(run_dir: RunDir) -> None:
    with run_dir.locked(0), pytest.raises(TrainingError, match="Another process"), RunDir(run_dir.path).locked(0):
        pass
    with run_dir.locked(0):
        pass


def test_unknown_request_is_refused(run_dir: RunDir) -> None:
    with pytest.raises(InvalidRequestError, match="'stop'"):
        run_dir.write_control(1, "stop")


@pytest.mark.parametrize(
    ("attempt", "control", "stops"),
    [
        (1, (1, None), False),
        (1, (1, "pause"), True),
        (1, (1, "hold"), True),
        (1, (2, None), True),
        (2, (1, "cancel"), False),
        (None, (5, None), False),
        (None, (5, "cancel"), True),
    ],
)
def test_control_stops_the_attempt_it_is_meant_for(
    run_dir: RunDir, attempt: int | None, control: tuple[int, str | None], stops: bool
) -> None:
    run_dir.write_control(*control)
    sign = StopSign(run_dir, attempt=attempt)
    if stops:
        with pytest.raises(Stopped):
            sign.raise_if_asked()
    else:
        sign.raise_if_asked()


def test_run_stops_when_its_flow_is_gone_for_too_long(run_dir: RunDir) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    flow = FlowProcess.parse(f"{child.pid}:{psutil.Process(child.pid).create_time()}")
    patient = StopSign(run_dir, flow_process=flow, orphan_timeout_seconds=3600)
    impatient = StopSign(run_dir, flow_process=flow, orphan_timeout_seconds=0)
    impatient.raise_if_asked()
    child.communicate()
    patient.raise_if_asked()
    with pytest.raises(Stopped, match="is gone"):
        impatient.raise_if_asked()


def test_process_waits_for_its_flow_as_long_as_the_specification_says(
    make_spec: Callable[..., FineTuningSpec], run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir.write_spec(make_spec("lora", orphan_timeout_seconds=77))
    told: dict[str, Any] = {}

    def made(_: RunDir, **given: Any) -> StopSign:
        told.update(given)
        raise Stopped("that is all that was to be seen")

    monkeypatch.setattr(run, "StopSign", made)
    options = Namespace(attempt=3, flow_process=None, stop_after=5)
    with pytest.raises(Stopped):
        run._fine_tune(run_dir, options)
    assert (told["orphan_timeout_seconds"], told["attempt"], told["stop_after"]) == (77, 3, 5)


def test_new_process_with_the_old_id_is_another_one(run_dir: RunDir) -> None:
    me = psutil.Process()
    assert FlowProcess(me.pid, me.create_time()).is_alive()
    assert not FlowProcess(me.pid, me.create_time() - 100).is_alive()
    with pytest.raises(InvalidRequestError, match="PID:CREATE_TIME"):
        FlowProcess.parse("12")


def test_checkpoint_is_complete_or_absent_and_the_oldest_go(run_dir: RunDir) -> None:
    for step in (500, 1000, 1500):
        save(run_dir, step)
    assert [path.name for path in complete_checkpoints(run_dir)] == ["step-001000", "step-001500"]
    assert verify(run_dir.checkpoints / "step-001500") > 4
    with pytest.raises(CheckpointDamagedError, match="removed"):
        verify(run_dir.checkpoints / "step-000500")
    assert [path.name for path in run_dir.checkpoints.iterdir() if path.name.startswith(".")] == []


def test_checkpoint_of_an_earlier_attempt_is_kept_and_announced_once(run_dir: RunDir) -> None:
    folder = save(run_dir, 500)
    (folder / "seen").touch()
    assert save(run_dir, 500) == folder
    assert (folder / "seen").exists()
    assert len(run_dir.events_after(0)[0]) == 1


def test_changed_checkpoint_is_found_out(run_dir: RunDir) -> None:
    folder = save(run_dir, 500)
    (folder / "weights").write_text("501")
    with pytest.raises(CheckpointDamagedError, match="weights"):
        verify(folder)


def settings(**given: Any) -> Hyperparameters:
    return resolve_hyperparameters("lora", [("request", {"epochs": 1, **given})])[0]


def test_loss_that_is_no_number_ends_the_run_with_advice(run_dir: RunDir) -> None:
    progress = Progress(run_dir, attempt=1)
    progress.start_training(2, settings(logging_steps=1, max_skipped_steps=0))
    with pytest.raises(TrainingError, match="Lower learning_rate") as failure:
        progress.after_step(Step(1, float("nan"), 3, 9, 1e-3, 1.0))
    assert failure.value.code == "loss_not_finite"


def test_logged_loss_is_the_mean_per_token_since_the_last_row(run_dir: RunDir) -> None:
    progress = Progress(run_dir, attempt=1)
    progress.start_training(3, settings(logging_steps=10))
    for number, (loss_sum, tokens) in enumerate([(8.0, 2), (30.0, 10), (6.0, 2)], start=1):
        progress.after_step(Step(number, loss_sum, tokens, 20, 1e-3, 1.0))
    rows, _ = run_dir.metrics_after(0)
    assert [(row["step"], row["train_loss"], row["trained_tokens"]) for row in rows] == [(1, 4.0, 20), (3, 3.0, 60)]


def test_how_far_a_measuring_is_stands_in_the_status_and_now_and_then_in_the_log(
    run_dir: RunDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(run_dir, attempt=1)
    progress.enter("evaluating")
    for done in range(4):
        progress._written_at = 0.0
        progress.while_measuring("tuned", "examples", done, 4)
        assert run_dir.status()["measuring"] == {"model": "tuned", "what": "examples", "done": done, "total": 4}
    progress._said_at = 0.0
    progress.while_measuring("base", "answers", 1, 3)
    said = [record.getMessage() for record in caplog.records if "Measuring" in record.getMessage()]
    assert said == ["Measuring the tuned model: 0 of 4 examples.", "Measuring the base model: 1 of 3 answers."]
    progress.enter("done")
    assert "measuring" not in run_dir.status()


def test_a_warm_up_that_outlasts_the_training_is_told_once(run_dir: RunDir) -> None:
    for _ in range(2):
        Progress(run_dir, attempt=1).start_training(5, settings(warmup_steps=100, learning_rate=5e-4))
    [event] = run_dir.events_after(0)[0]
    assert event["level"] == "warn" and "warmup_steps is 100, and there are 5 steps" in event["message"]
    assert "It reaches 2e-05 of 0.0005." in event["message"]
    Progress(run_dir, attempt=2).start_training(101, settings(warmup_steps=100))
    assert len(run_dir.events_after(0)[0]) == 1


def test_resources_of_the_process_tree_are_sampled(run_dir: RunDir) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    row = ResourceSampler(run_dir).sample()
    child.communicate()
    assert row["processes"] >= 2
    assert row["memory_bytes"] > 1e6


def test_status_carries_the_loss_of_the_newest_step_between_logged_ones(run_dir: RunDir) -> None:
    seen: list[float | None] = []
    progress = Progress(run_dir, attempt=1, callback=lambda status: seen.append(status.get("train_loss")))
    progress.start_training(3, settings(logging_steps=100))
    for number, loss in ((1, 8.0), (2, 6.0), (3, 4.0)):
        progress._written_at = 0.0
        progress.after_step(Step(number, loss * 2, 2, 4, 0.1, 1.0))
    assert seen == [None, 8.0, 6.0, 4.0]
    assert progress.train_loss == 5.0
    assert run_dir.status()["train_loss"] == 4.0
