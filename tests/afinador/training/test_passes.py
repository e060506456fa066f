"""What keys change in the passes through the model, seen from inside of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from transformers import Trainer
from transformers.models.llama.modeling_llama import LlamaAttention

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.training import FineTuner

MakeSpec = Callable[..., FineTuningSpec]
LAYERS = 2


@dataclass(frozen=True)
class Pass:
    """One pass through one layer.

    Attributes:
        rows: Of the micro-batch.
        dtype: Of what the layer's attention returned.
    """

    rows: int
    dtype: torch.dtype


@pytest.fixture
def passes() -> Iterator[list[Pass]]:
    """All passes through layers of the tiny model, in their order."""
    seen: list[Pass] = []

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, LlamaAttention):
            seen.append(Pass(output[0].shape[0], output[0].dtype))

    hook = register_module_forward_hook(look)
    yield seen
    hook.remove()


def losses_of(spec: FineTuningSpec, folder: Path) -> list[float]:
    tuner = FineTuner(spec, folder)
    tuner.run()
    return [row["train_loss"] for row in tuner.run_dir.metrics_after(0)[0] if "train_loss" in row]


@pytest.mark.parametrize(
    ("method", "engine"), [("lora", "accelerate_loop"), ("full", "accelerate_loop"), ("lora", "hf_trainer")]
)
def test_gradient_checkpointing_goes_through_each_layer_twice_and_changes_no_loss(
    method: str, engine: str, passes: list[Pass], make_spec: MakeSpec, tmp_path: Path
) -> None:
    losses = []
    without_dropout = {"lora_dropout": 0.0} if method == "lora" else {}
    for gradient_checkpointing, times in ((False, 1), (True, 2)):
        spec = make_spec(
            method, engine=engine, gradient_checkpointing=gradient_checkpointing, batch_size=16, micro_batch_size=16,
            validate=False, **without_dropout,
        )  # fmt: skip
        losses.append(losses_of(spec, tmp_path / str(gradient_checkpointing)))
        assert len(passes) == times * len(losses[-1]) * LAYERS
        passes.clear()
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


@pytest.fixture
def mixed(tmp_path: Path) -> DataFile:
    """24 examples, one in four of which is several times as long as the others."""
    path = tmp_path / "mixed.jsonl"
    records = [{"prompt": "a" * (60 if n % 4 == 0 else n % 4), "completion": "bc" * (n % 3 + 1)} for n in range(24)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return DataFile(name=path.name, path=str(path), format="jsonl", sha256="0" * 64, bytes=path.stat().st_size)


@pytest.mark.parametrize(
    ("engine", "attention"), [("accelerate_loop", "sdpa"), ("accelerate_loop", "eager"), ("hf_trainer", "sdpa")]
)
def test_packing_takes_fewer_rows_and_changes_no_loss(
    engine: str, attention: str, mixed: DataFile, passes: list[Pass], make_spec: MakeSpec, tmp_path: Path
) -> None:
    losses, rows = [], []
    for packing in (False, True):
        spec = make_spec(
            engine=engine, packing=packing, attention=attention, lora_dropout=0.0, micro_batch_size=4,
            group_by_length=False, validate=False,
        )  # fmt: skip
        spec.training_file = mixed
        losses.append(losses_of(spec, tmp_path / str(packing)))
        rows.append(sum(one.rows for one in passes) // LAYERS)
        passes.clear()
    assert rows[0] == 24  # one for each example
    assert rows[1] <= 16
    assert losses[1][0] == pytest.approx(losses[0][0], abs=1e-4)
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)


@pytest.mark.parametrize("engine", ["accelerate_loop", "hf_trainer"])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(("precision", "dtype"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_is_that_of_all_passes_on_a_cpu(
    precision: str, dtype: torch.dtype, method: str, engine: str, passes: list[Pass], make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    losses_of(make_spec(method, engine=engine, precision=precision, validate=False, batch_size=32), tmp_path)
    assert {one.dtype for one in passes} == {dtype}


@pytest.mark.parametrize(
    ("engine", "labels_only", "dimensions"),
    [("accelerate_loop", True, 2), ("accelerate_loop", False, 3), ("hf_trainer", True, 2), ("hf_trainer", False, 3)],
)
def test_logits_at_labels_only_leaves_those_of_the_other_positions_out(
    engine: str, labels_only: bool, dimensions: int, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Of training, of what is measured on the way and of the evaluation: (labels, vocabulary), or (rows, length, vocabulary)."""
    seen: set[int] = set()

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, nn.Linear) and module.out_features > 300:  # the vocabulary's
            seen.add(output.dim())

    spec = make_spec(
        engine=engine, logits_at_labels_only=labels_only, batch_size=32, eval_steps=1, generation_examples=0
    )
    hook = register_module_forward_hook(look)
    try:
        losses_of(spec, tmp_path)
    finally:
        hook.remove()
    assert seen == {dimensions}


@pytest.mark.parametrize(("engine", "runs"), [("accelerate_loop", 0), ("hf_trainer", 1)])
def test_engine_is_who_runs_the_steps(
    engine: str, runs: int, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainers: list[Trainer] = []
    train = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self: trainers.append(self) or train(self))
    losses_of(make_spec(engine=engine, validate=False, batch_size=32), tmp_path)
    assert len(trainers) == runs
