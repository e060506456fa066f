"""Proofs on a job of one's own: equal where it is, unequal where something was tampered with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, DataError, InvalidRequestError, OutOfRangeError, TrainingError
from afinador.training import FineTuner
from afinador.training.checkpoints import seal
from afinador.training.child import TrainingProcess
from afinador.training.run_dir import RunDir
from afinador.training.verification import certify_resume, local_run, reproduce, verify_resume

MakeSpec = Callable[..., FineTuningSpec]


@pytest.fixture
def spec(make_spec: MakeSpec) -> FineTuningSpec:
    """7 steps, dropout, batches in parts."""
    return make_spec(lora_dropout=0.2, micro_batch_size=3, generation_examples=0, save_total_limit=5, logging_steps=100)


@pytest.mark.usefixtures("in_this_process")
def test_resume_is_proved_and_a_tampered_state_is_found(spec: FineTuningSpec, tmp_path: Path) -> None:
    seen: list[str] = []
    process = TrainingProcess(watch=lambda run_dir: seen.append(run_dir.path.name))
    certificate = verify_resume(spec, tmp_path / "proof", process=process)
    # Of 20 steps, as many as the job has.
    assert (certificate["equal"], certificate["steps"], certificate["resumed_after"]) == (True, 7, 3)
    assert certificate["first_difference"] is None and certificate["environment_differences"] == ""
    assert {"adapter_model.safetensors", "training_state/optimizer.safetensors"} <= certificate["hashes"].keys()
    assert all(len(each["straight"]) == 64 for each in certificate["hashes"].values())
    assert certificate["base_model"]["sha256"] == spec.base_model.sha256
    assert certificate["training_file"]["sha256"] == spec.training_file.sha256
    assert (certificate["seed"], certificate["hyperparameters"]["lora_dropout"]) == (3, 0.2)
    assert json.loads((tmp_path / "proof" / "certificate.json").read_text()) == certificate
    assert set(seen) == {"straight", "resumed"}

    straight, resumed = RunDir(tmp_path / "proof" / "straight"), RunDir(tmp_path / "proof" / "resumed")
    for run_dir in (straight, resumed):
        assert {row["step"] for row in run_dir.metrics_after(0)[0]} == {1, 2, 3, 4, 5, 6, 7}
        assert not run_dir.final.exists() and run_dir.result() is None
    go_on_from_a_changed_moment(resumed)
    unequal = certify_resume(spec, straight, resumed)
    assert not unequal["equal"]
    difference = unequal["first_difference"]
    assert (difference["step"], difference["value"]) == (5, "grad_norm")  # step 4 sees the moment in its update only
    assert difference["values"][0] != difference["values"][1]
    hashes = unequal["hashes"]["training_state/optimizer.safetensors"]
    assert hashes["straight"] != hashes["resumed"]


def go_on_from_a_changed_moment(run_dir: RunDir) -> None:
    """Train the second half again, from a checkpoint whose optimizer state somebody has changed."""
    shutil.rmtree(run_dir.checkpoints / "step-000007")
    middle = run_dir.checkpoints / "step-000003"
    optimizer = middle / "training_state" / "optimizer.safetensors"
    tensors = load_file(optimizer)
    name = next(name for name in sorted(tensors) if name.endswith("exp_avg"))
    tensors[name] = tensors[name] + 0.01
    save_file(tensors, optimizer)
    (middle / "manifest.json").unlink()
    seal(middle)
    journal = run_dir.path / "metrics.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:3]))
    TrainingProcess().run(run_dir, stop_after=7)


@pytest.mark.usefixtures("in_this_process")
def test_job_with_a_single_step_is_refused(spec: FineTuningSpec, tmp_path: Path) -> None:
    spec.hyperparameters.batch_size = 50
    with pytest.raises(TrainingError, match="single optimizer step"):
        verify_resume(spec, tmp_path / "single")


def test_what_cannot_be_proved_is_refused_before_anything_is_trained(spec: FineTuningSpec, tmp_path: Path) -> None:
    with pytest.raises(OutOfRangeError, match="steps is 1; it must be from 2"):
        verify_resume(spec, tmp_path / "proof", 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    with pytest.raises(InvalidRequestError, match="not empty"):
        verify_resume(spec, tmp_path / "full")
    with pytest.raises(InvalidRequestError, match="no weights"):
        reproduce(spec, tmp_path / "proof", {})
    changed = spec.model_copy(deep=True)
    changed.training_file.sha256 = "0" * 64
    with pytest.raises(DataError, match=r"animals\.jsonl is not the file"):
        verify_resume(changed, tmp_path / "proof")
    assert not (tmp_path / "proof").exists()


@pytest.mark.usefixtures("in_this_process")
def test_finished_run_is_reproduced_and_another_seed_is_not_the_same(spec: FineTuningSpec, tmp_path: Path) -> None:
    FineTuner(spec, tmp_path / "run").run()
    stored, expected, result = local_run(tmp_path / "run")
    certificate = reproduce(stored, tmp_path / "again", expected, original=result)
    assert certificate["equal"] and certificate["environment_differences"] == ""
    assert certificate["found"] == certificate["expected"] == expected
    assert list(expected) == ["adapter_model.safetensors"]
    other = stored.model_copy(update={"seed": stored.seed + 1})
    told: dict[str, Any] = {**result, "environment": {**result["environment"], "precision": "bfloat16"}}
    unequal = reproduce(other, tmp_path / "other", expected, original=told)
    assert not unequal["equal"]
    assert unequal["environment_differences"] == "precision bfloat16 became float32"
    assert unequal["found"].keys() == expected.keys()


def test_only_a_finished_run_is_reproduced_and_a_failing_one_says_why(spec: FineTuningSpec, tmp_path: Path) -> None:
    RunDir(tmp_path / "begun").write_spec(spec)
    with pytest.raises(InvalidRequestError, match="has not succeeded"):
        local_run(tmp_path / "begun")
    with pytest.raises(AfinadorError, match=r"spec\.json cannot be read"):
        TrainingProcess().run(RunDir(tmp_path / "nothing"))
