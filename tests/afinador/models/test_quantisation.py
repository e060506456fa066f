"""Base weights in 4 and 8 bits: which of them, how well, and what they weigh."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from afinador.errors import UnsupportedModelError
from afinador.models.loading import load_causal_lm
from afinador.models.quantisation import is_quantised
from afinador.models.weights import described_weights
from tests.afinador.models.test_loading import write_tokenizer

INPUTS = torch.arange(2, 22)[None]


def save_llama(folder: Path, **changes: Any) -> Path:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 300, "hidden_size": 64, "intermediate_size": 136, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    }  # fmt: skip
    LlamaForCausalLM(LlamaConfig(**sizes | changes)).save_pretrained(folder)
    write_tokenizer(folder, eos="</s>")
    return folder


def save_gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32)).save_pretrained(folder)
    write_tokenizer(folder, eos="</s>")
    return folder


def load(folder: Path, bits: Any) -> PreTrainedModel:
    return load_causal_lm(folder, precision="float32", device="cpu", quantization_bits=bits)


def quantised_layers(model: PreTrainedModel) -> set[str]:
    return {name for name, module in model.named_modules() if is_quantised(module)}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("tied", [True, False])
def test_every_linear_layer_but_the_last_is_quantised(tied: bool, bits: int, tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "tiny", tie_word_embeddings=tied)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    linear = {name for name, module in plain.named_modules() if isinstance(module, torch.nn.Linear)}
    model = load(folder, bits)
    assert quantised_layers(model) == linear - {"lm_head"}
    assert torch.equal(model.lm_head.weight, plain.lm_head.weight)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert not model.training


@pytest.mark.parametrize(("bits", "error"), [(4, 0.12), (8, 0.02)])
@pytest.mark.parametrize("save", [save_llama, save_gpt2])
def test_logits_are_near_those_in_float32(save: Any, bits: int, error: float, tmp_path: Path) -> None:
    # GPT-2 keeps its linear weights transposed; they are turned before they are quantised.
    folder = save(tmp_path / "tiny")
    expected, model = load(folder, None)(INPUTS).logits, load(folder, bits)
    assert len(quantised_layers(model)) in (14, 8)
    distance = (model(INPUTS).logits - expected).norm() / expected.norm()
    assert 0 < distance < error


def test_quantised_weights_take_less_and_count_as_what_they_stand_for(tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "tiny", hidden_size=256, intermediate_size=512)
    plain, eight, four = (described_weights(load(folder, bits), bits) for bits in (None, 8, 4))
    assert plain.parameters == eight.parameters == four.parameters
    assert plain.base_bytes == plain.base_bytes_float32 == 4 * plain.parameters
    linear = 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256)
    others, rows = 4 * (plain.parameters - linear), 2 * (2 * 256 + 2 * 128 + 2 * 512 + 256)
    assert eight.base_bytes == others + linear + 4 * rows
    assert four.base_bytes == pytest.approx(others + linear * 0.516, rel=0.02)
    assert four.sentence().startswith(
        f"{plain.parameters:,} parameters, 4-bit nf4 with double quantisation: {four.base_bytes / 1e6:.1f} MB in memory "
        f"({plain.base_bytes / 1e6:.1f} MB in float32)."
    )
    assert "parameters, 8-bit LLM.int8: " in eight.sentence()
    assert plain.sentence() == (
        f"{plain.parameters:,} parameters, in float32: {plain.base_bytes / 1e6:.1f} MB in memory. All of them are trained."
    )


def test_only_the_warning_of_each_call_is_silenced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = load(save_llama(tmp_path / "tiny"), 8)
    with caplog.at_level(logging.INFO):
        model(INPUTS)
        logging.getLogger("bitsandbytes.autograd._functions").warning("Something else is wrong.")
    said = [record.message for record in caplog.records if record.name.startswith("bitsandbytes")]
    assert said == ["Something else is wrong."]


def test_weights_are_never_packed_for_kernels_without_gradients(tmp_path: Path) -> None:
    model = load(save_llama(tmp_path / "tiny"), 4)
    assert not any(getattr(module, "support_avx512bf16_for_cpu", False) for module in model.modules())


def test_model_without_linear_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="tiny has no linear layers that could be quantised; use tuning"):
        load(save_llama(tmp_path / "tiny", num_hidden_layers=0), 4)


def test_model_that_is_quantised_already_is_refused(tmp_path: Path) -> None:
    folder = save_llama(tmp_path / "tiny")
    config = AutoConfig.from_pretrained(folder)
    config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    config.save_pretrained(folder)
    with pytest.raises(UnsupportedModelError, match="quantised"):
        load(folder, 4)
