"""Whole runs on quantised base models, and what they publish."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bitsandbytes
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from afinador.config.spec import FineTuningSpec
from afinador.errors import UnsupportedModelError
from afinador.models.weights import described_weights
from afinador.training import FineTuner, setup
from afinador.training.run_dir import RunDir
from tests.afinador.training.test_published_folder import loss_of

MakeSpec = Callable[..., FineTuningSpec]


@pytest.fixture(scope="session")
def quantised_run(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Callable[[FineTuningSpec], RunDir]:
    """Runs a specification as the service does, in a process of its own, once."""
    run_dir = RunDir(tmp_path_factory.mktemp("runs") / "run")

    def run(spec: FineTuningSpec) -> RunDir:
        if run_dir.result() is None:
            run_dir.write_spec(spec)
            words = [sys.executable, "-m", "afinador.training.run", str(run_dir.path)]
            done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=250, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), run_dir.log.read_text()
        return run_dir

    return run


@pytest.fixture
def run_dir(make_spec: MakeSpec, quantised_run: Callable[[FineTuningSpec], RunDir]) -> RunDir:
    return quantised_run(make_spec("qlora", epochs=2, eval_steps=5, generation_examples=2, gradient_checkpointing=True))


def plain_quantised(folder: str) -> torch.nn.Module:
    config = BitsAndBytesConfig(load_in_8bit=True)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=config).eval()


def test_process_says_what_it_loaded_and_learns(run_dir: RunDir) -> None:
    events, _ = run_dir.events_after(0)
    loaded = next(event for event in events if event["type"] == "model_loaded")
    described = run_dir.read_document("model.json")
    base = described["base_parameters"]
    assert f"Loaded tiny-llama, {base:,} parameters, 8-bit LLM.int8: " in loaded["message"]
    assert " in float32). An adapter of " in loaded["message"]
    assert base == run_dir.spec().base_model.parameters
    assert described["base_bytes"] < described["base_bytes_float32"] == 4 * base
    environment = run_dir.result()["environment"]
    assert loaded["data"] == described | {"environment": environment} and described == run_dir.result()["model"]
    losses = [row["train_loss"] for row in run_dir.metrics_after(0)[0] if "train_loss" in row]
    assert sum(losses[-5:]) < sum(losses[:5])
    log = run_dir.log.read_text()
    assert "float16" not in log and "Warning" not in log


def test_figures_are_those_of_the_quantised_base_and_the_card_says_so(run_dir: RunDir) -> None:
    spec, metrics = run_dir.spec(), run_dir.result()["metrics"]
    base = plain_quantised(spec.base_model.path)
    assert metrics["base"]["loss"] == pytest.approx(loss_of(base, spec), abs=2e-3)
    assert metrics["tuned"]["loss"] == pytest.approx(
        loss_of(PeftModel.from_pretrained(base, run_dir.final), spec), abs=2e-3
    )
    card = (run_dir.final / "README.md").read_text()
    assert "with base weights in 8-bit LLM.int8, computing in float32:" in card
    assert "The base model was held in 8-bit LLM.int8 while training" in card
    assert "| quantization_bits | 8 |" in card


def test_adapter_fits_the_base_as_it_is(run_dir: RunDir) -> None:
    spec = run_dir.spec()
    names = {path.name for path in run_dir.final.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names and "config.json" not in names
    config = json.loads((run_dir.final / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == spec.base_model.name
    assert not [key for key in config if "quantization" in key]
    base = AutoModelForCausalLM.from_pretrained(spec.base_model.path).eval()
    untuned = loss_of(base, spec)
    tuned = PeftModel.from_pretrained(base, run_dir.final).eval()
    assert loss_of(tuned, spec) < untuned - 0.05
    assert loss_of(tuned, spec) == pytest.approx(run_dir.result()["metrics"]["tuned"]["loss"], abs=0.01)
    tokenizer = AutoTokenizer.from_pretrained(run_dir.final)
    prompt = tokenizer("Human: What says the cat?\nAssistant:", return_tensors="pt")
    assert tuned.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt["input_ids"].shape[1]


def test_four_bits_in_bfloat16_learn_what_the_base_as_it_is_can_use(make_spec: MakeSpec, tmp_path: Path) -> None:
    given = {"quantization_bits": 4, "precision": "bfloat16", "epochs": 2, "generation_examples": 0}
    run_dir = RunDir(tmp_path / "run")
    spec = make_spec("qlora", **given)
    run_dir.write_spec(spec)
    result = FineTuner(spec, run_dir).run()
    loaded = next(event["message"] for event in run_dir.events_after(0)[0] if event["type"] == "model_loaded")
    assert "4-bit nf4 with double quantisation: " in loaded and loaded.endswith("computing in bfloat16.")
    base = AutoModelForCausalLM.from_pretrained(spec.base_model.path).eval()
    untuned = loss_of(base, spec)
    tuned = loss_of(PeftModel.from_pretrained(base, run_dir.final).eval(), spec)
    assert tuned < untuned - 0.05
    assert tuned == pytest.approx(result.metrics["tuned"]["loss"], abs=0.05)


def test_lost_evaluation_is_done_again_on_a_quantised_base(run_dir: RunDir) -> None:
    first = run_dir.result()["metrics"]
    for name in ("evaluation.json", "result.json"):
        run_dir.remove_document(name)
    again = FineTuner(run_dir.spec(), run_dir).run().metrics
    for side in ("base", "tuned"):
        assert again[side] == pytest.approx(first[side], abs=1e-4)
    loaded = [event for event in run_dir.events_after(0)[0] if event["type"] == "model_loaded"]
    assert len(loaded) == 2 and {event["data"]["quantization_bits"] for event in loaded} == {8}


def gradient_of(spec: FineTuningSpec) -> torch.Tensor:
    """All adapters' gradients of one forward pass, as the engine computes it."""
    subject = setup.load_subject(spec)
    subject.model.train()
    ids = torch.arange(3, 40)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=subject.computing.precision == "bfloat16"):
        loss = subject.model(input_ids=ids, labels=ids).loss
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in subject.trained_parameters])


@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_are_the_same_with_checkpointing_and_near_in_bfloat16(bits: int, make_spec: MakeSpec) -> None:
    given = {"quantization_bits": bits, "lora_dropout": 0.0}
    plain = gradient_of(make_spec("qlora", **given))
    assert plain.norm() > 0
    torch.testing.assert_close(
        gradient_of(make_spec("qlora", **given, gradient_checkpointing=True)), plain, atol=1e-6, rtol=1e-5
    )
    for checkpointing in (False, True):
        rounded = gradient_of(make_spec("qlora", **given, precision="bfloat16", gradient_checkpointing=checkpointing))
        assert rounded.dtype == torch.float32
        assert torch.cosine_similarity(rounded, plain, dim=0) > 0.99


def test_micro_batch_needs_what_lora_needs_and_sees_the_memory_that_is_left(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A token's activations are the same; that the base is smaller shows in the free memory, measured after loading.
    def chosen(method: str, free: float, **given: Any) -> int:
        spec = make_spec(method, batch_size=256, **given)
        subject = setup.load_subject(spec)
        monkeypatch.setattr(setup.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
        return setup.choose_micro_batches(subject, spec.hyperparameters, 100).examples

    for free in (16e6, 32e6):
        assert chosen("lora", free) == chosen("qlora", free) == chosen("qlora", free, quantization_bits=4)
    assert chosen("qlora", 32e6) == 2 * chosen("qlora", 16e6)


def test_trained_part_is_counted_whole_whatever_the_bits(make_spec: MakeSpec) -> None:
    lora, qlora = (
        described_weights(setup.load_subject(make_spec(method, **bits)).model, bits.get("quantization_bits"))
        for method, bits in (("lora", {}), ("qlora", {"quantization_bits": 4}))
    )
    assert (qlora.trainable_parameters, qlora.parameters) == (lora.trainable_parameters, lora.parameters)
    assert qlora.bytes - qlora.base_bytes == lora.bytes - lora.base_bytes == 4 * lora.adapter_parameters


def test_quantised_base_fails_the_run_with_a_sentence_among_its_events(
    make_spec: MakeSpec, base_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "quantised"
    folder.mkdir()
    for path in base_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    spec, run_dir = make_spec("qlora"), RunDir(tmp_path / "run")
    spec.base_model.path = str(folder)
    with pytest.raises(UnsupportedModelError):
        FineTuner(spec, run_dir).run()
    said = [event for event in run_dir.events_after(0)[0] if event["level"] == "error"]
    assert len(said) == 1 and "holds quantised weights; register the model" in said[0]["message"]


@pytest.mark.parametrize(("precision", "computed"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_four_bits_are_nf4_with_double_quantisation_and_compute_in_the_chosen_precision(
    make_spec: MakeSpec, precision: str, computed: torch.dtype
) -> None:
    spec = make_spec("qlora", quantization_bits=4, precision=precision)
    model = setup.load_subject(spec).model
    config = model.config.quantization_config
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
    assert config.bnb_4bit_compute_dtype == computed
    layers = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert layers and {layer.compute_dtype for layer in layers} == {computed}
