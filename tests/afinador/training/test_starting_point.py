"""Runs that start from the checkpoint of another one: with its weights, or exactly where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from afinador.config.spec import FineTuningSpec, StartingPoint
from afinador.errors import AfinadorError, InvalidRequestError, NotFoundError, TrainingError
from afinador.training import FineTuner
from afinador.training.checkpoints import CheckpointDamagedError, complete_checkpoints, seal
from afinador.training.job_file import LOCAL, spec_from_file
from afinador.training.run_dir import RunDir
from afinador.training.starting_files import start_from_folder
from afinador.training.stopping import Stopped
from afinador.training.verification import verify_resume, without_past
from tests.afinador.training.classified import WORDS, data_file, messages, reviews
from tests.afinador.training.test_early_stopping import contrary
from tests.afinador.training.test_exact_resume import Disturbance, hashes, journal, train

MakeSpec = Callable[..., FineTuningSpec]


def stopped(spec: FineTuningSpec, path: Path, look: int) -> RunDir:
    """Train until somebody cancels."""
    run_dir = RunDir(path)
    with pytest.raises(Stopped):
        FineTuner(spec, run_dir, stop=Disturbance(run_dir, look, kill=False)).run()
    return run_dir


def starting(spec: FineTuningSpec, run_dir: RunDir, state: Any, **changed: Any) -> FineTuningSpec:
    """Return a specification of another run that starts from the newest checkpoint of this one."""
    point = start_from_folder(complete_checkpoints(run_dir)[-1], state, LOCAL).point
    return spec.model_copy(update={"job_id": "ftjob-2", "start_from": point, **changed})


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("lora", {"lora_dropout": 0.3, "micro_batch_size": 3, "warmup_steps": 3}),
        ("full", {"optimizer": "adafactor", "engine": "hf_trainer"}),
    ],
)
def test_another_run_goes_on_to_the_very_bits_of_an_undisturbed_one(
    method: str, given: dict[str, Any], make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(method, epochs=2, save_steps=4, eval_steps=5, logging_steps=3, generation_examples=0, **given)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    cancelled = stopped(spec, tmp_path / "cancelled", 7)
    on = starting(spec, cancelled, "whole")
    assert on.start_from is not None and 0 < on.start_from.step < 14
    twice_stopped = stopped(on, tmp_path / "second", 5)
    third = train(starting(on, twice_stopped, "whole"), tmp_path / "third", [4])
    assert hashes(third.final) == hashes(undisturbed.final)
    assert hashes(complete_checkpoints(third)[-1]) == hashes(complete_checkpoints(undisturbed)[-1])
    rows = journal(third)
    assert rows == [row for row in journal(undisturbed) if row["step"] >= rows[0]["step"]]
    assert (third.result() or {})["trained_tokens"] == (undisturbed.result() or {})["trained_tokens"]
    assert messages(third).count("Goes on with the training that has left the checkpoint second/step-") == 1
    lineage = json.loads((third.final / "afinador.json").read_text())["start_from"]
    assert lineage["state"] == "whole" and "path" not in lineage
    card = (third.final / "README.md").read_text()
    assert f"| checkpoint that it started from (its training goes on) | second/step-{lineage['step']:06d} |" in card


def test_early_stopping_publishes_the_best_checkpoint_from_before_the_cancel(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "epochs": 6, "batch_size": 4, "eval_steps": 3, "save_steps": 4, "save_total_limit": 1,
        "generation_examples": 0, "early_stopping_patience": 2, "lr_scheduler": "constant",
    }  # fmt: skip
    spec = contrary(make_spec("full", **given), tmp_path)
    undisturbed = train(spec, tmp_path / "undisturbed", [])
    cancelled = RunDir(tmp_path / "cancelled")
    with pytest.raises(Stopped):
        FineTuner(spec, cancelled, stop=_AfterStep(cancelled, 5)).run()
    on = starting(spec, cancelled, "whole")
    assert on.start_from is not None and on.start_from.best is not None
    assert (on.start_from.step, on.start_from.best.step) == (5, 3)
    continued = train(on, tmp_path / "continued", [])
    assert hashes(continued.final) == hashes(undisturbed.final)
    assert (continued.read_document("training.json") or {})["published_step"] == 3


class _AfterStep(Disturbance):
    """Stops after a step."""

    def __init__(self, run_dir: RunDir, step: int) -> None:
        super().__init__(run_dir, 0, kill=False)
        self.step = step

    def raise_if_asked(self, steps_done: float = 0) -> None:
        self.looks_left = 0 if self.step <= steps_done < float("inf") else 2
        super().raise_if_asked(steps_done)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_new_training_begins_with_the_loss_of_the_weights_that_it_takes_over(
    method: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    still = {"lora_dropout": 0.0} if method == "lora" else {}
    spec = make_spec(method, generation_examples=0, epochs=3, **still)
    first = train(spec, tmp_path / "first", [])
    learnt = (first.result() or {})["valid_loss"]
    # All held-out examples are one batch now: the loss of the first step is that of the weights before it.
    other = make_spec(method, generation_examples=0, batch_size=12, validate=False, **still)
    other.training_file = spec.validation_file or other.training_file
    second = train(starting(other, first, "weights", seed=99), tmp_path / "second", [])
    untaught = train(other, tmp_path / "untaught", [])
    losses = [journal(run)[0]["train_loss"] for run in (second, untaught)]
    assert losses[0] == pytest.approx(learnt, abs=1e-5)
    assert losses[1] > learnt + 0.1
    assert "Begins with the trained weights of the checkpoint first/step-" in messages(second)


def from_adapter(spec: FineTuningSpec, run_dir: RunDir) -> FineTuningSpec:
    """Return a specification that begins with what a run has published, as it is fetched from the hub."""
    if not (run_dir.final / "manifest.json").is_file():
        seal(run_dir.final)
    start = {"name": "ft:t:d:a:1", "job_id": "ftjob-1", "step": 7, "path": str(run_dir.final), "bytes": 1}
    point = StartingPoint(kind="adapter", state="weights", manifest_sha256="0" * 64, **start)
    return spec.model_copy(update={"job_id": "ftjob-2", "seed": 99, "start_from": point})


@pytest.mark.parametrize("given", [{}, {"lora_bias": "all", "modules_to_save": ["norm"]}])
def test_new_training_begins_with_the_loss_of_the_adapter_that_it_takes_over(
    given: dict[str, Any], make_spec: MakeSpec, tmp_path: Path
) -> None:
    still = {"generation_examples": 0, "lora_dropout": 0.0, **given}
    spec = make_spec(epochs=2, **still)
    first = train(spec, tmp_path / "first", [])
    other = make_spec(batch_size=12, validate=False, **still)  # all held-out examples are one batch now
    other.training_file = spec.validation_file or other.training_file
    second = train(from_adapter(other, first), tmp_path / "second", [])
    assert journal(second)[0]["train_loss"] == pytest.approx((first.result() or {})["valid_loss"], abs=1e-5)
    assert journal(second)[0]["train_loss"] < (first.evaluation() or {})["base"]["loss"] - 0.05
    assert "Begins with the trained weights of the adapter ft:t:d:a:1." in messages(second)
    card = (second.final / "README.md").read_text()
    assert "| adapter that it started from (its weights) | ft:t:d:a:1 |" in card
    with pytest.raises(TrainingError, match="The adapter does not fit the model") as caught:
        FineTuner(from_adapter(make_spec(lora_rank=4), first), tmp_path / "third").run()
    assert caught.value.code == "adapter_does_not_fit"


def test_new_training_begins_with_the_loss_of_the_whole_model_that_is_its_base(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec("full", epochs=2, generation_examples=0)
    first = train(spec, tmp_path / "first", [])
    other = make_spec(base=first.final, batch_size=12, validate=False, lora_dropout=0.0)
    other.training_file = spec.validation_file or other.training_file
    second = train(other, tmp_path / "second", [])
    tuned = (first.evaluation() or {})["tuned"]["loss"]
    assert journal(second)[0]["train_loss"] == pytest.approx(tuned, abs=1e-5)


def test_classifier_begins_with_head_and_classes_of_an_adapter(classifying: MakeSpec, tmp_path: Path) -> None:
    spec = classifying("bert", epochs=2, lora_dropout=0.0)
    first = train(spec, tmp_path / "first", [])
    on = from_adapter(classifying("bert", batch_size=12, lora_dropout=0.0), first)
    on.training_file = spec.validation_file or on.training_file
    second = train(on, tmp_path / "second", [])
    assert journal(second)[0]["train_loss"] == pytest.approx((first.result() or {})["valid_loss"], abs=1e-4)
    heads = [
        next(event["message"] for event in run.events_after(0)[0] if "classes:" in event["message"])
        for run in (first, second)
    ]
    assert "the head is new" in heads[0]
    assert on.start_from is not None and f"the head is that of the adapter {on.start_from.name}." in heads[1]
    whole = json.loads((second.final / "adapter_config.json").read_text())["modules_to_save"]
    assert sorted(whole) == ["classifier", "pooler"], "each once, and none that BERT does not have"
    assert f"| modules_to_save | {whole} |" in (second.final / "README.md").read_text()


def test_weights_of_other_shapes_or_classes_are_refused_when_they_are_put_back(
    make_spec: MakeSpec, classifying: MakeSpec, tmp_path: Path
) -> None:
    first = train(make_spec(generation_examples=0), tmp_path / "first", [])
    with pytest.raises(TrainingError, match="trained weights differ in name or shape") as caught:
        FineTuner(starting(make_spec(lora_rank=4), first, "weights"), tmp_path / "second").run()
    assert caught.value.code == "checkpoint_does_not_fit"
    classifier = classifying("llama", epochs=1)
    taught = train(classifier, tmp_path / "taught", [])
    renamed = [{**row, "label": "slack" if row["label"] == "slow" else row["label"]} for row in reviews(40, 1)]
    on = starting(classifier, taught, "weights", validation_file=None)
    FineTuner(on, tmp_path / "same").run()
    assert set(WORDS) == {"good", "bad", "slow"}
    on.training_file = data_file(tmp_path / "renamed.jsonl", renamed)
    with pytest.raises(TrainingError, match="only in the data: 'slack'; only in the checkpoint: 'slow'"):
        FineTuner(on, tmp_path / "other").run()


def test_resume_is_verified_on_the_whole_training_and_never_on_other_weights(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(generation_examples=0)
    first = stopped(spec, tmp_path / "first", 5)
    assert without_past(starting(spec, first, "whole")).start_from is None
    taught = starting(spec, first, "weights")
    assert without_past(taught) == taught
    (complete_checkpoints(first)[-1] / "training_state" / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointDamagedError, match=r"weights\.safetensors"):
        verify_resume(taught, tmp_path / "proof", 4)


@pytest.fixture
def craft(base_model: Path, training_file: Path, tmp_path: Path) -> Callable[..., FineTuner]:
    """Prepares runs from a job file in an empty folder."""

    def prepare(name: str, **fields: Any) -> FineTuner:
        body = {"base_model": str(base_model), "dataset": str(training_file)} | fields
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(body))
        return FineTuner.from_file(path)

    return prepare


def test_job_file_starts_from_the_folder_of_a_checkpoint(craft: Callable[..., FineTuner], tmp_path: Path) -> None:
    settings = {"epochs": 2, "lora_rank": 4, "batch_size": 8, "lora_dropout": 0.2, "output_dir": "runs/first"}
    first = craft("first", seed=5, hyperparameters=settings)
    first.run()
    folder = complete_checkpoints(first.run_dir)[-1]
    named = str(folder.relative_to(tmp_path))
    on = craft("on", from_checkpoint=named, from_checkpoint_state="whole", hyperparameters={"save_steps": 7}).spec
    assert (on.seed, on.hyperparameters.lora_dropout, on.hyperparameters.save_steps) == (5, 0.2, 7)
    assert on.hyperparameters.output_dir is None
    assert (on.sources["lora_rank"], on.sources["save_steps"]) == ("checkpoint", "request")
    new = craft("new", from_checkpoint=named, hyperparameters={"epochs": 1}).spec
    assert isinstance(new.start_from, StartingPoint) and new.start_from.path == str(folder)
    assert (new.hyperparameters.lora_rank, new.hyperparameters.epochs, new.seed) == (4, 1, 42)
    with pytest.raises(InvalidRequestError, match="lora_rank is 16, there 4"):
        craft("misfit", from_checkpoint=named, hyperparameters={"lora_rank": 16})
    with pytest.raises(NotFoundError, match="from_checkpoint is 'nowhere'"):
        craft("lost", from_checkpoint="nowhere")
    (tmp_path / "little.json").write_text(json.dumps({"from_checkpoint": named}))
    with pytest.raises(InvalidRequestError, match="'base_model' is required"):
        spec_from_file(tmp_path / "little.json")


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda folder: (folder / "trainer_state.json").write_text("{}"), "checkpoint_damaged"),
        (lambda folder: (folder / "manifest.json").unlink(), "checkpoint_damaged"),
        (lambda folder: (shutil.rmtree(folder / "training_state"), sealed_again(folder)), "checkpoint_without_state"),
        (lambda folder: make_older(folder), "checkpoint_of_older_version"),
    ],
)
def test_checkpoint_that_is_none_is_refused(
    harm: Callable[[Path], object], code: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    first = stopped(make_spec(generation_examples=0), tmp_path / "first", 3)
    folder = complete_checkpoints(first)[-1]
    start_from_folder(folder, "whole", LOCAL)
    harm(folder)
    with pytest.raises(AfinadorError) as caught:
        start_from_folder(folder, "whole", LOCAL)
    assert caught.value.code == code


def sealed_again(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    seal(folder)


def make_older(folder: Path) -> None:
    path = folder / "training_state" / "state.json"
    document = json.loads(path.read_text())
    del document["recipe"]
    path.write_text(json.dumps(document))
    sealed_again(folder)


def test_threads_are_those_of_the_training_that_goes_on(make_spec: MakeSpec, tmp_path: Path) -> None:
    had = torch.get_num_threads()
    spec = make_spec(generation_examples=0)
    first = stopped(spec, tmp_path / "first", 3)
    torch.set_num_threads(had + 1)
    try:
        FineTuner(starting(spec, first, "whole"), tmp_path / "second").run()
        assert torch.get_num_threads() == had
    finally:
        torch.set_num_threads(had)
