"""What is refused before a weight is read, and what afterwards."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from afinador.data.tokens.tokenizer_files import load_tokenizer
from afinador.errors import ModelError, ModelTooLargeError, UnsupportedModelError
from afinador.models.loading import load_causal_lm

SIZES = {
    "vocab_size": 8,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(path)
    write_tokenizer(path, eos="</s>")
    return path


def write_tokenizer(path: Path, eos: str | None) -> None:
    vocabulary = {"<unk>": 0, "</s>": 1, "a": 2, "b": 3}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    document = {"version": "1.0", "added_tokens": [], "model": model}
    (path / "tokenizer.json").write_text(json.dumps(document))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"} | ({"eos_token": eos} if eos else {})
    (path / "tokenizer_config.json").write_text(json.dumps(names))


def test_model_is_loaded_in_evaluation_mode_and_in_the_precision_asked_for(folder: Path) -> None:
    model = load_causal_lm(folder, precision="bfloat16", device="cpu")
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_more_than_15_billion_parameters_are_refused_before_any_weight_is_read(folder: Path) -> None:
    # A header that promises 15.00001B parameters, and a sparse file with nothing behind it.
    rows = 15_000_010_000 // 1000
    size = rows * 1000 * 2
    header = json.dumps({"w": {"dtype": "BF16", "shape": [rows, 1000], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + size)
    with pytest.raises(ModelTooLargeError, match=r"tiny has 15\.0B parameters; at most 15B"):
        load_causal_lm(folder, precision="float32", device="cpu")


def test_another_architecture_is_refused_with_those_that_are_trained(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    with pytest.raises(UnsupportedModelError, match=r"'BertForMaskedLM'; this version trains: LlamaForCausalLM"):
        load_causal_lm(folder, precision="float32", device="cpu")


def test_missing_weights_are_refused_instead_of_drawn_at_random(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights of LlamaForCausalLM are missing .*up_proj"):
        load_causal_lm(folder, precision="float32", device="cpu")


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    said = r"^3 weights of LlamaForCausalLM have another shape than config\.json says in .*, the first is model\.layers\.0\.mlp"
    for bits in (None, 4, 8):
        with pytest.raises(ModelError, match=said):
            load_causal_lm(folder, precision="float32", device="cpu", quantization_bits=bits)


def test_tokenizer_without_an_end_token_is_refused(folder: Path) -> None:
    assert load_tokenizer(folder).eos_token_id == 1
    write_tokenizer(folder, eos=None)
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        load_tokenizer(folder)


def test_unreadable_tokenizer_is_refused_in_one_sentence(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read") as refusal:
        load_tokenizer(folder)
    assert "\n" not in refusal.value.message
