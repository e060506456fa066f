"""Whole runs in this process: what they leave behind, how they stop, go on and fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from afinador.config.spec import FineTuningSpec
from afinador.errors import DataError, InvalidRequestError, ModelTooLargeError, NotFoundError, TrainingError
from afinador.training import FineTuner
from afinador.training.checkpoints import verify
from afinador.training.run_dir import RunDir
from afinador.training.stopping import Stopped, StopSign

MakeSpec = Callable[..., FineTuningSpec]


class StopAt(StopSign):
    """Stops at the n-th look."""

    def __init__(self, run_dir: RunDir, look: int) -> None:
        super().__init__(run_dir)
        self.looks_left = look

    def raise_if_asked(self, steps_done: float = 0) -> None:
        self.looks_left -= 1
        if self.looks_left <= 0:
            self.ask("the test wants it")
        super().raise_if_asked(steps_done)


def test_run_directory_tells_the_whole_story(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, states = make_spec("lora", epochs=2, save_steps=5, eval_steps=4, logging_steps=3), []
    tuner = FineTuner(spec, tmp_path / "run", attempt=2, progress=lambda status: states.append(status["state"]))
    result = tuner.run()
    run_dir = tuner.run_dir
    rows, _ = run_dir.metrics_after(0)
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 3, 6, 7, 9, 12, 14]
    assert [row["step"] for row in rows if "valid_loss" in row] == [4, 8, 12, 14]
    assert rows[-1]["epoch"] == 2.0
    assert [path.name for path in result.checkpoints] == ["step-000010", "step-000014"]
    assert all(verify(path) > 0 for path in result.checkpoints)
    events, _ = run_dir.events_after(0)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    types = [event["type"] for event in events]  # a checkpoint is told by the thread that wrote it, when it has
    assert [type for type in types if type != "checkpoint"] == [
        "model_loaded",
        "message",
        "epoch",
        "epoch",
        "message",
        "evaluation",
    ]
    assert types.index("checkpoint") > types.index("message") and types[-1] == "evaluation"
    assert [event["data"]["path"] for event in events if event["type"] == "checkpoint"] == [
        "checkpoints/step-000005", "checkpoints/step-000010", "checkpoints/step-000014",
    ]  # fmt: skip
    assert list(dict.fromkeys(states)) == ["loading", "training", "saving", "evaluating", "done"]
    status = run_dir.status()
    assert status.items() >= {"attempt": 2, "state": "done", "step": 14, "steps": 14, "epoch": 2.0}.items()
    ended = run_dir.result()
    assert ended.items() >= {"status": "succeeded", "steps": 14, "epochs": 2, "error": None, "device": "cpu"}.items()
    assert ended["trained_tokens"] == status["tokens"] == rows[-2]["trained_tokens"]
    assert len(ended["seconds_per_epoch"]) == 2
    evaluation = run_dir.evaluation()
    assert evaluation["tuned"].items() >= {"examples": 12, "generated": 12}.items()
    assert [set(sample) for sample in evaluation["samples"]] == [{"prompt", "expected", "base", "tuned"}] * 5
    assert run_dir.read_document("model.json")["trainable_parameters"] > 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("data.jsonl", '{"prompt": "a", "completion": "b"}\n', "looks like a data set"),
        ("data.json", "[]", "holds no fields"),
        ("job.yaml", "a: b: c\n", "line 1 is no good YAML"),
        ("job.json", "{", "Expecting property name"),
        ("model.yaml", "\x00\x01", "is no job file"),
    ],
)
def test_what_is_no_job_file_is_refused_in_one_sentence(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidRequestError, match="is no job file") as refusal:
        FineTuner.from_file(tmp_path / name)
    assert said in refusal.value.message
    assert "\n" not in refusal.value.message


def test_finished_run_is_left_alone(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("lora")
    first = FineTuner(spec, tmp_path / "run").run()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.name != "lock"}
    assert FineTuner(spec, tmp_path / "run").run() == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_stopped_run_goes_on_without_logging_a_step_twice(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, run_dir = make_spec("lora", lora_dropout=0.0), RunDir(tmp_path / "run")
    with pytest.raises(Stopped, match="the test wants it"):
        FineTuner(spec, run_dir, stop=StopAt(run_dir, 5)).run()
    assert run_dir.status()["state"] == "stopped"
    assert run_dir.result() is None
    first, _ = run_dir.metrics_after(0)
    assert [row["step"] for row in first] == [1, 2, 3]
    FineTuner(spec, tmp_path / "run").run()
    rows, _ = run_dir.metrics_after(0)
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[:3] == first


@pytest.mark.parametrize("method", ["lora", "full"])
def test_run_that_lost_its_evaluation_is_not_trained_again(method: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, run_dir = make_spec(method), RunDir(tmp_path / "run")
    first = FineTuner(spec, run_dir).run()
    for name in ("evaluation.json", "result.json"):
        run_dir.remove_document(name)
    weights = next(run_dir.final.glob("*.safetensors"))
    written, rows = weights.stat().st_mtime_ns, run_dir.metrics_after(0)
    second = FineTuner(spec, run_dir).run()
    assert weights.stat().st_mtime_ns == written
    assert run_dir.metrics_after(0) == rows
    for side in ("base", "tuned"):
        assert second.metrics[side] == pytest.approx(first.metrics[side], abs=1e-4)


def test_run_without_a_validation_file_says_why_nothing_was_measured(make_spec: MakeSpec, tmp_path: Path) -> None:
    tuner = FineTuner(make_spec("lora", validate=False), tmp_path / "run")
    assert tuner.run().metrics == {}
    assert "no validation file" in tuner.run_dir.evaluation()["skipped"]
    assert "Not measured" in (tuner.run_dir.final / "README.md").read_text()


def test_failed_run_says_why_and_may_be_started_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, run_dir = make_spec("lora", target_modules=["q_prj"]), RunDir(tmp_path / "run")
    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            FineTuner(spec, run_dir).run()
        result = run_dir.result()
        assert result["status"] == "failed"
        assert result["error"]["code"] == "invalid_request"
        assert result["error"]["param"] == "hyperparameters.target_modules"
        assert "'q_prj'" in result["error"]["message"]
        assert run_dir.status()["state"] == "failed"
        assert not run_dir.final.exists()


def test_unexpected_error_becomes_a_sentence(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec, run_dir = make_spec("lora"), RunDir(tmp_path / "run")
    run_dir.checkpoints.parent.mkdir(parents=True)
    run_dir.checkpoints.write_text("a file where a folder should be")
    with pytest.raises(TrainingError, match="unexpectedly with"):
        FineTuner(spec, run_dir).run()
    assert run_dir.result()["error"]["code"] == "internal_error"


def test_record_that_cannot_be_used_fails_the_run_by_its_line(
    make_spec: MakeSpec, training_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(training_file.read_text() + '{"prompt": "What says the cow?"}\n')
    spec = make_spec("lora")
    spec.training_file.path = str(bad)
    with pytest.raises(DataError, match="51"):
        FineTuner(spec, tmp_path / "run").run()


def test_too_large_a_model_fails_the_run_before_it_is_loaded(
    make_spec: MakeSpec, base_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "huge"
    folder.mkdir()
    for path in base_model.iterdir():
        if path.suffix == ".json":
            (folder / path.name).write_bytes(path.read_bytes())
    size = 16_000_000_000 * 2
    header = json.dumps({"w": {"dtype": "BF16", "shape": [16_000, 1_000_000], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + size)
    spec = make_spec("lora")
    spec.base_model.path = str(folder)
    with pytest.raises(ModelTooLargeError, match=r"16\.0B"):
        FineTuner(spec, tmp_path / "run").run()


def test_folder_of_another_run_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    RunDir(tmp_path / "run").write_spec(make_spec("full"))
    with pytest.raises(InvalidRequestError, match="another run"):
        FineTuner(make_spec("lora"), tmp_path / "run").run()
    assert RunDir(tmp_path / "run").result() is None


def test_job_file_takes_paths_relative_to_itself(
    base_model: Path, training_file: Path, validation_file: Path, tmp_path: Path
) -> None:
    for name, source in (("model", base_model), ("train.jsonl", training_file), ("test.jsonl", validation_file)):
        (tmp_path / name).symlink_to(source)
    job: dict[str, Any] = {
        "base_model": "model",
        "dataset": "train.jsonl",
        "validation_dataset": "test.jsonl",
        "output_model": "sounds",
        "hyperparameters": {"n_epochs": 1, "generation_examples": 2, "generation_max_new_tokens": 4},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    same = FineTuner.from_fields(job, tmp_path / "runs" / "job", folder=tmp_path)
    assert same.spec == FineTuner.from_file(tmp_path / "job.yaml").spec
    with pytest.raises(NotFoundError, match=re.escape(f"relative to {tmp_path}")):
        FineTuner.from_fields(job | {"dataset": "none.jsonl"}, "run", folder=tmp_path)
    result = FineTuner.from_file(tmp_path / "job.yaml").run()
    assert result.model_path == tmp_path / "runs" / "job" / "final"
    assert result.metrics["tuned"]["generated"] == 2
    assert RunDir(tmp_path / "runs" / "job").spec().output.name == "sounds"


@pytest.mark.shared_data
@pytest.mark.parametrize("method", ["lora", "full"])
def test_real_stories_model_learns(method: str, make_spec: MakeSpec, shared_data: Path, tmp_path: Path) -> None:
    spec = make_spec(method, base=shared_data / "models" / "stories260k", epochs=2, generation_examples=0)
    metrics = FineTuner(spec, tmp_path / "run").run().metrics
    assert metrics["tuned"]["loss"] < metrics["base"]["loss"] - 1.0
