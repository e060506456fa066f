"""A step whose loss is no number: left out, told, and after too many the end of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from afinador.config.spec import FineTuningSpec
from afinador.errors import TrainingError
from afinador.training import FineTuner, checkpoints

MakeSpec = Callable[..., FineTuningSpec]


@pytest.fixture(scope="module")
def poisoned_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A Llama that makes NaN of every text with a ``#``."""
    set_seed(7)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **sizes))
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer("#", add_special_tokens=False)["input_ids"][0]] = float("nan")
    folder = tmp_path_factory.mktemp("models") / "poisoned"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tuner_of(make_spec: MakeSpec, base: Path, tmp_path: Path, **given: Any) -> FineTuner:
    spec = make_spec(base=base, epochs=2, batch_size=4, validate=False, save_steps=3, group_by_length=False, **given)
    data = tmp_path / "train.jsonl"
    rows = [{"prompt": "What is #?" if n == 5 else f"Who is {n}?", "completion": "me"} for n in range(16)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec.training_file.path = str(data)
    return FineTuner(spec, tmp_path / "run")


@pytest.mark.parametrize("engine", ["accelerate_loop", "hf_trainer"])
def test_steps_that_are_no_numbers_are_left_out_and_told(
    engine: str, make_spec: MakeSpec, poisoned_model: Path, tmp_path: Path
) -> None:
    tuner = tuner_of(make_spec, poisoned_model, tmp_path, engine=engine, max_skipped_steps=2)
    tuner.run()
    skipped = [event for event in tuner.run_dir.events_after(0)[0] if "is skipped" in event["message"]]
    assert [event["level"] for event in skipped] == ["warn", "warn"]
    assert "the 2 of" not in skipped[1]["message"] and "(2 of at most 2)" in skipped[1]["message"]
    rows = tuner.run_dir.metrics_after(0)[0]
    assert {row["step"] for row in rows} == set(range(1, 9)) - {event["data"]["step"] for event in skipped}
    assert "NaN" not in (tuner.run_dir.path / "metrics.jsonl").read_text()
    assert tuner.run_dir.result()["skipped_steps"] == 2
    weights = load_file(tuner.run_dir.final / "adapter_model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert any(tensor.any() for name, tensor in weights.items() if "lora_B" in name)


def test_one_more_ends_the_run_at_the_last_checkpoint(
    make_spec: MakeSpec, poisoned_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = checkpoints.seal
    monkeypatch.setattr(checkpoints, "seal", lambda folder: (time.sleep(0.5), seal(folder)))  # training is faster
    tuner = tuner_of(make_spec, poisoned_model, tmp_path, max_skipped_steps=1)
    with pytest.raises(TrainingError, match=r"max_skipped_steps is 1.*The last checkpoint is step-00000\d.*Lower"):
        tuner.run()
    assert tuner.run_dir.result()["error"]["code"] == "loss_not_finite"
    state = json.loads((tuner.run_dir.checkpoints / "step-000003" / "trainer_state.json").read_text())
    assert state["skipped_steps"] in (0, 1)
    assert not tuner.run_dir.final.exists()
