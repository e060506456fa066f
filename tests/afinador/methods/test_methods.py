"""What each method trains, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.layers import resolve_hyperparameters
from afinador.errors import InvalidRequestError
from afinador.methods import METHODS
from afinador.models.families import TokenScores
from afinador.models.loading import load_causal_lm
from tests.afinador.models.test_loading import write_tokenizer


def llama(**changes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, attention_bias=True, **changes,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32))


def quantised(model: PreTrainedModel, bits: Any, folder: Path) -> PreTrainedModel:
    model.save_pretrained(folder)
    write_tokenizer(folder, eos="</s>")
    return load_causal_lm(folder, precision="float32", device="cpu", quantization_bits=bits)


def settings(method: str = "lora", **given: Any) -> Hyperparameters:
    return resolve_hyperparameters(method, [("request", given)])[0]


def adapted_layers(model: torch.nn.Module) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def trained(model: torch.nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_full_trains_everything() -> None:
    model = METHODS["full"](llama(), settings("full"))
    assert trained(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
def test_lora_on_all_linear_layers_leaves_the_output_layer_alone(tied: bool) -> None:
    model = METHODS["lora"](llama(tie_word_embeddings=tied), settings())
    assert adapted_layers(model) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all("lora_" in name for name in trained(model))


def test_lora_on_gpt2_adapts_its_transposed_layers() -> None:
    base, inputs = gpt2().eval(), torch.arange(10)[None]
    before = base(inputs).logits
    model = METHODS["lora"](base, settings(lora_rank=4)).eval()
    assert adapted_layers(model) == {"c_attn", "c_proj", "c_fc"}
    assert model.peft_config["default"].fan_in_fan_out
    torch.testing.assert_close(model(inputs).logits, before)
    torch.nn.init.normal_(model.base_model.model.transformer.h[0].attn.c_attn.lora_B["default"].weight)
    adapted = model(inputs).logits
    assert not torch.allclose(adapted, before)
    torch.testing.assert_close(model.merge_and_unload()(inputs).logits, adapted, atol=1e-4, rtol=1e-4)


def test_lora_obeys_rank_alpha_dropout_and_layers() -> None:
    given = {"lora_rank": 8, "lora_alpha": 24, "lora_dropout": 0.25, "target_modules": ["q_proj", "v_proj"]}
    model = METHODS["lora"](llama(), settings(**given))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert adapted_layers(model) == {"q_proj", "v_proj"}
    assert (layer.r["default"], layer.scaling["default"], layer.lora_dropout["default"].p) == (8, 3.0, 0.25)


def test_lora_bias_decides_which_biases_are_trained() -> None:
    only_adapted = METHODS["lora"](llama(), settings(lora_bias="lora_only", target_modules=["q_proj"]))
    assert {name.split(".")[-2] for name in trained(only_adapted) if name.endswith("bias")} == {"base_layer"}
    everywhere = METHODS["lora"](llama(), settings(lora_bias="all", target_modules=["q_proj"]))
    assert len([name for name in trained(everywhere) if name.endswith("bias")]) == 8


def test_modules_to_save_are_trained_whole() -> None:
    model = METHODS["lora"](llama(tie_word_embeddings=False), settings(modules_to_save=["lm_head"]))
    whole = [name for name in trained(model) if "lora_" not in name]
    assert whole == ["base_model.model.lm_head.modules_to_save.default.weight"]
    tensors = {"input_ids": torch.arange(8)[None], "attention_mask": torch.ones(1, 8, dtype=torch.int64)}
    TokenScores(model, logits_at_labels_only=True)(**tensors, labels=torch.arange(8)[None]).loss_sum().backward()
    assert model.base_model.model.lm_head.modules_to_save["default"].weight.grad is not None


def test_adapters_on_16_bit_weights_are_float32() -> None:
    model = METHODS["lora"](llama().to(torch.bfloat16), settings())
    dtypes = {parameter.requires_grad: parameter.dtype for parameter in model.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("make", [llama, gpt2])
def test_qlora_has_the_adapters_of_lora(make: Callable[[], PreTrainedModel], bits: int, tmp_path: Path) -> None:
    plain = METHODS["lora"](make(), settings())
    model = METHODS["qlora"](quantised(make(), bits, tmp_path), settings("qlora", quantization_bits=bits))
    assert {name: p.shape for name, p in model.named_parameters() if p.requires_grad} == {
        name: p.shape for name, p in plain.named_parameters() if p.requires_grad
    }
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    ours, theirs = (each.peft_config["default"].to_dict() for each in (model, plain))
    assert {key for key in ours if ours[key] != theirs[key]} <= {"base_model_name_or_path"}


def test_qlora_refuses_to_train_a_quantised_layer_whole(tmp_path: Path) -> None:
    model = quantised(llama(), 4, tmp_path)
    for name in ("q_proj", "self_attn"):
        with pytest.raises(InvalidRequestError, match=f"names '{name}', which is held in 4 bits") as refusal:
            METHODS["qlora"](model, settings("qlora", quantization_bits=4, modules_to_save=[name]))
        assert refusal.value.param == "hyperparameters.modules_to_save"
    adapted = METHODS["qlora"](model, settings("qlora", quantization_bits=4, modules_to_save=["norm"]))
    assert any("norm.modules_to_save" in name for name in trained(adapted))


@pytest.mark.parametrize("key", ["target_modules", "modules_to_save"])
def test_unknown_layer_is_refused_with_the_nearest_and_all_others(key: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"'q_prj'.* mean 'q_proj'.*down_proj") as refusal:
        METHODS["lora"](llama(), settings(**{key: ["q_prj"]}))
    assert refusal.value.param == f"hyperparameters.{key}"


def test_layer_is_not_another_one_that_ends_like_it() -> None:
    with pytest.raises(InvalidRequestError, match=r"names 'xyz\.model\.layers\.0\.mlp\.up_proj'"):
        METHODS["lora"](llama(), settings(target_modules=["q_proj", "xyz.model.layers.0.mlp.up_proj"]))


def test_layer_that_cannot_carry_an_adapter_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="LoRA does not fit LlamaForCausalLM"):
        METHODS["lora"](llama(), settings(target_modules=["input_layernorm"]))
