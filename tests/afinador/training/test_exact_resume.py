"""Runs that are stopped or die, again and again, and end with the very bits of one that was left in peace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from afinador.config.spec import FineTuningSpec
from afinador.errors import DataError, InsufficientStorageError, TrainingError
from afinador.storage import sha256_of
from afinador.training import FineTuner, saving, training_state
from afinador.training.checkpoints import complete_checkpoints, save_checkpoint, seal, step_of
from afinador.training.environment import why_inexact
from afinador.training.run_dir import RunDir
from afinador.training.stopping import Stopped, StopSign

MakeSpec = Callable[..., FineTuningSpec]
TIMES = {"timestamp_ms", "tokens_per_second"}


class Killed(BaseException):
    """Ends a run like a signal that nobody can catch: nothing is written any more."""


class Disturbance(StopSign):
    """Stops or kills at the n-th look; evaluations look too, between their batches."""

    def __init__(self, run_dir: RunDir, look: int, *, kill: bool) -> None:
        super().__init__(run_dir)
        self.looks_left, self.kill = look, kill

    def raise_if_asked(self, steps_done: float = 0) -> None:
        self.looks_left -= 1
        if self.looks_left == 0 and self.kill:
            raise Killed
        if self.looks_left <= 0:
            self.ask("the test wants it")
        super().raise_if_asked(steps_done)


def train(spec: FineTuningSpec, path: Path, looks: list[int], *, kill: bool = False) -> RunDir:
    """Train, disturbed at one look after the other, each in an attempt of its own, and at last in peace."""
    run_dir = RunDir(path)
    for number, look in enumerate(looks, start=1):
        with pytest.raises(Killed if kill else Stopped):
            FineTuner(spec, run_dir, attempt=number, stop=Disturbance(run_dir, look, kill=kill)).run()
    FineTuner(spec, run_dir, attempt=len(looks) + 1).run()
    return run_dir


def journal(run_dir: RunDir) -> list[dict[str, Any]]:
    rows, _ = run_dir.metrics_after(0)
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def hashes(folder: Path) -> dict[str, str]:
    """Hash all tensors of a folder, the state of the training among them."""
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*.safetensors"))}


def require_same(disturbed: RunDir, undisturbed: RunDir) -> None:
    assert journal(disturbed) == journal(undisturbed)
    assert hashes(disturbed.final) == hashes(undisturbed.final)
    last, expected = complete_checkpoints(disturbed)[-1], complete_checkpoints(undisturbed)[-1]
    assert last.name == expected.name
    assert len(hashes(last)) >= 5
    assert hashes(last) == hashes(expected)
    counted = [
        {name: value for name, value in run.read_document("training.json").items() if "seconds" not in name}
        for run in (disturbed, undisturbed)
    ]
    assert counted[0] == counted[1]
    events, _ = disturbed.events_after(0)
    assert not [event for event in events if "is not the same" in event["message"]]
    epochs = [event["data"]["epoch"] for event in events if event["type"] == "epoch"]
    assert epochs == sorted(set(epochs))


SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora with dropout, in parts": ("lora", {"lora_dropout": 0.3, "micro_batch_size": 3, "warmup_steps": 3}),
    "lora on 8 bits, packed": ("qlora", {"quantization_bits": 8, "packing": True, "micro_batch_size": 4}),
    "lora on 4 bits": ("qlora", {"quantization_bits": 4, "gradient_checkpointing": True, "engine": "hf_trainer"}),
    "full, 8-bit optimizer": ("full", {"optimizer": "adamw_8bit", "lr_scheduler": "cosine"}),
    "full, adafactor": ("full", {"optimizer": "adafactor", "group_by_length": False, "engine": "hf_trainer"}),
    "lora, momentum, with layers saved whole": (
        "lora",
        {"optimizer": "sgd", "modules_to_save": ["embed_tokens"], "lora_bias": "all"},
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_stopped_run_ends_with_the_bits_of_an_undisturbed_one(
    setting: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    method, given = SETTINGS[setting]
    spec = make_spec(method, epochs=2, save_steps=4, eval_steps=5, logging_steps=3, generation_examples=0, **given)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    require_same(train(spec, tmp_path / "disturbed", [4, 6]), undisturbed)


@pytest.mark.parametrize("engine", ["accelerate_loop", "hf_trainer"])
def test_killed_run_goes_on_from_its_last_checkpoint(engine: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(epochs=2, save_steps=3, lora_dropout=0.2, generation_examples=0, engine=engine, validate=False)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    disturbed = train(spec, tmp_path / "disturbed", [6, 6, 6, 6], kill=True)
    require_same(disturbed, undisturbed)
    events, _ = disturbed.events_after(0)
    resumed = [event["data"]["step"] for event in events if event["message"].startswith("Training goes on after")]
    assert resumed == [3, 6, 9, 12]


@pytest.mark.parametrize(("base", "method"), [("bert", "full"), ("llama", "lora")])
def test_classifier_is_resumed_to_the_bit(base: str, method: str, classifying: MakeSpec, tmp_path: Path) -> None:
    spec = classifying(base, method, epochs=3, save_steps=2, eval_steps=3)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    require_same(train(spec, tmp_path / "disturbed", [5, 4]), undisturbed)


@pytest.fixture(scope="module")
def evaluated_often(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FineTuningSpec], RunDir]:
    """Trains a specification once, in peace."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return lambda spec: train(spec, path, [])


@pytest.mark.parametrize("look", [3, 5, 6, 7, 12])
def test_run_may_be_stopped_at_any_look(
    look: int, make_spec: MakeSpec, evaluated_often: Callable[[FineTuningSpec], RunDir], tmp_path: Path
) -> None:
    """Between steps, and in the middle of evaluations, which are made again before the next step."""
    spec = make_spec(epochs=1, save_steps=4, eval_steps=2, early_stopping_patience=3, generation_examples=0)
    require_same(train(spec, tmp_path / "disturbed", [look]), evaluated_often(spec))


def test_resumed_run_takes_the_threads_that_it_had(make_spec: MakeSpec, tmp_path: Path) -> None:
    had = torch.get_num_threads()
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Stopped):
        FineTuner(make_spec(), run_dir, stop=Disturbance(run_dir, 5, kill=False)).run()
    torch.set_num_threads(had + 1)
    try:
        FineTuner(make_spec(), run_dir).run()
        assert torch.get_num_threads() == had
    finally:
        torch.set_num_threads(had)


def test_run_on_other_ground_says_that_it_is_not_exact(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Stopped):
        FineTuner(make_spec(), run_dir, stop=Disturbance(run_dir, 5, kill=False)).run()
    [folder] = complete_checkpoints(run_dir)
    path = folder / "training_state" / "state.json"
    state = json.loads(path.read_text())
    state["environment"]["versions"]["torch"] = "1.13.1"
    path.write_text(json.dumps(state))
    (folder / "manifest.json").unlink()
    seal(folder)
    FineTuner(make_spec(), run_dir).run()
    [event] = [event for event in run_dir.events_after(0)[0] if "on other ground" in event["message"]]
    assert event["level"] == "warn"
    assert "torch 1.13.1 became" in event["message"]
    assert "exact in the order of its data only" in event["message"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_checkpoint_is_put_aside_and_the_one_before_is_used(
    damage: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(save_steps=2, validate=False, generation_examples=0)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        FineTuner(spec, run_dir, stop=Disturbance(run_dir, 7, kill=True)).run()
    newest = complete_checkpoints(run_dir)[-1]
    assert newest.name == "step-000004"
    victim = newest / "training_state" / "optimizer.safetensors"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(content if damage == "flip" else content[:-10])
    FineTuner(spec, run_dir, attempt=2).run()
    require_same(run_dir, undisturbed)
    said = [event["message"] for event in run_dir.events_after(0)[0] if event["level"] == "warn"]
    assert len(said) == 1
    assert said[0].startswith("The checkpoint step-000004 is damaged and put aside: ")
    assert "optimizer.safetensors" in said[0]


def test_checkpoint_of_other_data_or_another_model_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(save_steps=2, validate=False, lora_rank=8)
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Stopped):
        FineTuner(spec, run_dir, stop=Disturbance(run_dir, 5, kill=False)).run()
    other = make_spec(save_steps=2, validate=False, lora_rank=4)
    run_dir.write_spec(other)
    with pytest.raises(TrainingError, match="does not fit the model"):
        FineTuner(other, run_dir).run()
    half = tmp_path / "half.jsonl"
    half.write_text("".join(Path(spec.training_file.path).read_text().splitlines(keepends=True)[:25]))
    less = spec.model_copy(update={"training_file": spec.training_file.model_copy(update={"path": str(half)})})
    run_dir.write_spec(less)
    with pytest.raises(DataError, match="with the data that it began with alone"):
        FineTuner(less, run_dir).run()


def test_checkpoint_may_be_kept_after_each_epoch(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(epochs=3, save_each_epoch=True, save_total_limit=5, validate=False, generation_examples=0)
    kept = [folder.name for folder in complete_checkpoints(train(spec, tmp_path / "run", []))]
    assert kept == ["step-000007", "step-000014", "step-000021"]


def test_checkpoint_holds_no_pickle_and_no_frozen_weight(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_dir = train(make_spec(validate=False, generation_examples=0), tmp_path / "run", [])
    [folder] = complete_checkpoints(run_dir)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".jinja", ".md"}
    for path in run_dir.final.iterdir():  # what is published is there; its card and lineage name the step besides
        here = (folder / path.name).read_bytes()
        assert here == path.read_bytes() or (path.name in ("README.md", "afinador.json") and b"step" in here)
    weights = load_file(folder / "training_state" / "weights.safetensors")
    trained = [name for name in weights if "inv_freq" not in name]
    assert trained
    assert all("lora_" in name for name in trained)


def test_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(save_steps=2, validate=False, generation_examples=0, lora_dropout=0.2)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    run_dir = RunDir(tmp_path / "run")

    def only_for_the_first(folder: Path, needed_bytes: int, what: str) -> None:
        if "step-000002" not in what:
            raise InsufficientStorageError(f"{what} needs {needed_bytes} bytes.")

    monkeypatch.setattr(saving, "require_free_space", only_for_the_first)
    with pytest.raises(InsufficientStorageError, match="Writing step-000004 needs"):
        FineTuner(spec, run_dir).run()
    assert run_dir.result()["error"]["code"] == "insufficient_storage"
    assert [folder.name for folder in complete_checkpoints(run_dir)] == ["step-000002"]
    assert not [path for path in run_dir.checkpoints.iterdir() if path.name.startswith(".step")]
    monkeypatch.undo()
    FineTuner(spec, run_dir, attempt=2).run()
    require_same(run_dir, undisturbed)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("I/O error: No space left on device (os error 28)")]
)
def test_no_space_in_the_middle_of_a_file_is_said_as_such(
    error: Exception, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(training_state, "save_file", torn)
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(InsufficientStorageError, match="The disk is full"):
        FineTuner(make_spec(save_steps=2, validate=False, generation_examples=0), run_dir).run()
    assert complete_checkpoints(run_dir) == []


def test_only_what_may_change_the_bits_makes_a_resume_inexact() -> None:
    ground = {"device": "cpu", "cuda": None, "deterministic": False, "versions": {"torch": "2.13.0"}}
    on_gpu = ground | {"device": "NVIDIA L4", "cuda": "13.0"}
    assert why_inexact(ground, ground) is None
    assert why_inexact(on_gpu | {"deterministic": True}, on_gpu | {"deterministic": True}) is None
    assert "deterministic: true" in (why_inexact(*[on_gpu | {"deterministic": False}] * 2) or "")
    assert (why_inexact(ground, ground | {"device": "NVIDIA L4"}) or "").startswith("on other ground: device")


def test_checkpoints_are_in_the_order_of_their_steps_beyond_a_million(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for step in (1_000_000, 999_999, 7):
        save_checkpoint(run_dir, {"step": step}, lambda folder: None, keep=3)
    assert [step_of(folder) for folder in complete_checkpoints(run_dir)] == [7, 999_999, 1_000_000]
