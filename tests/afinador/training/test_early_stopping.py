"""Training that ends when further evaluations are no better, and publishes the best."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from afinador.config.spec import FineTuningSpec
from afinador.training import FineTuner
from afinador.training.checkpoints import complete_checkpoints
from afinador.training.early_stopping import EarlyStopping
from afinador.training.run_dir import RunDir
from afinador.training.stopping import Stopped
from tests.afinador.training.test_exact_resume import Disturbance

MakeSpec = Callable[..., FineTuningSpec]


def test_patience_counts_evaluations_without_a_better_loss() -> None:
    stopping = EarlyStopping(patience=2)
    seen = []
    for step, loss in enumerate([3.0, 2.0, 2.0, 1.5, 1.6, float("nan")], start=1):
        seen.append((stopping.take(step, loss), stopping.is_over))
    assert seen == [(True, False), (True, False), (False, False), (True, False), (False, False), (False, True)]
    assert (stopping.best_step, stopping.best_loss) == (4, 1.5)


def contrary(spec: FineTuningSpec, tmp_path: Path) -> FineTuningSpec:
    """Learn one answer and be asked for another: the validation loss rises from the first evaluation on."""
    for file, answer in ((spec.training_file, "aaa bbb ccc ddd" * 2), (spec.validation_file, "WXYZ#WXYZ#" * 3)):
        path = tmp_path / file.name
        path.write_text("".join(json.dumps({"prompt": f"Says {n}?", "completion": answer}) + "\n" for n in range(16)))
        file.path = str(path)
    return spec


@pytest.mark.parametrize(("method", "engine"), [("lora", "accelerate_loop"), ("full", "hf_trainer")])
def test_best_checkpoint_is_what_is_published(method: str, engine: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    rank = {"lora_rank": 32, "lora_alpha": 64} if method == "lora" else {}
    given: dict[str, Any] = {
        "engine": engine, "epochs": 6, "batch_size": 4, "eval_steps": 3, "save_steps": 4, "save_total_limit": 1,
        "generation_examples": 0, "early_stopping_patience": 2, "lr_scheduler": "constant",
    }  # fmt: skip
    tuner = FineTuner(contrary(make_spec(method, **given, **rank), tmp_path), tmp_path / "run")
    tuned = tuner.run()
    run_dir = tuner.run_dir
    curve = {row["step"]: row["valid_loss"] for row in run_dir.metrics_after(0)[0] if "valid_loss" in row}
    assert sorted(curve) == [3, 6, 9]
    assert curve[3] < curve[6] < curve[9]
    assert [path.name for path in complete_checkpoints(run_dir)] == ["step-000003", "step-000009"]
    state = json.loads((run_dir.checkpoints / "step-000009" / "trainer_state.json").read_text())
    assert (state["best_step"], state["evaluations_since_best"]) == (3, 2)
    best = load_file(next((run_dir.checkpoints / "step-000003").glob("*.safetensors")))
    published = load_file(next(run_dir.final.glob("*.safetensors")))
    assert published.keys() == best.keys()
    assert all((published[name] == best[name]).all() for name in best)
    assert tuned.metrics["tuned"]["loss"] == pytest.approx(curve[3], abs=1e-4)
    result = run_dir.result()
    assert (result["published_step"], result["steps"], result["valid_loss"]) == (3, 9, curve[3])
    said = " ".join(event["message"] for event in run_dir.events_after(0)[0])
    assert "ends after step 9 of 24: 2 evaluations in a row have not bettered the validation loss of step 3" in said
    assert "published is the best checkpoint, of step 3" in said


def test_without_patience_the_last_weights_are_published(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(epochs=1, batch_size=4, eval_steps=1, generation_examples=0, lr_scheduler="constant")
    tuner = FineTuner(contrary(spec, tmp_path), tmp_path / "run")
    tuner.run()
    assert tuner.run_dir.result()["published_step"] == tuner.run_dir.result()["steps"] == 4


def test_best_checkpoint_stays_although_it_was_saved_before_it_was_measured(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    given = {"eval_steps": 3, "save_steps": 1, "save_total_limit": 2, "early_stopping_patience": 2}
    rest = {"epochs": 6, "batch_size": 4, "lr_scheduler": "constant", "generation_examples": 0}
    spec = contrary(make_spec(lora_rank=32, lora_alpha=64, **given, **rest), tmp_path)
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Stopped):
        FineTuner(spec, run_dir, stop=Disturbance(run_dir, 5, kill=False)).run()
    newest = complete_checkpoints(run_dir)[-1]
    assert newest.name == "step-000003"
    assert not json.loads((newest / "training_state" / "state.json").read_text())["is_measured"]
    FineTuner(spec, run_dir, attempt=2).run()
    assert [path.name for path in complete_checkpoints(run_dir)] == ["step-000003", "step-000008", "step-000009"]
    assert run_dir.result()["published_step"] == 3
    told = [
        row["data"]["metrics"].get("best_step") for row in run_dir.events_after(0)[0] if row["type"] == "checkpoint"
    ]
    assert told == [None] * 3 + [3] * 6
