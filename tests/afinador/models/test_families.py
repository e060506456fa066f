"""Logits only where a label is: the same loss, gradients and accuracy for every architecture that is trained."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from afinador.config.architectures import CAUSAL_ARCHITECTURES
from afinador.data.tokens.batching import forward_passes
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.models.families import TokenScores, context_length_of

VOCABULARY = 101
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
NARROW_HEADS = {**SIZES, "head_dim": 8}

MODELS = {
    "LlamaForCausalLM": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "MistralForCausalLM": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4)),
    "GemmaForCausalLM": lambda: GemmaForCausalLM(GemmaConfig(**NARROW_HEADS)),
    # Softcaps small enough to bend the logits of random weights.
    "Gemma2ForCausalLM": lambda: Gemma2ForCausalLM(Gemma2Config(**NARROW_HEADS, final_logit_softcapping=0.05)),
    "Gemma3ForCausalLM": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**NARROW_HEADS, final_logit_softcapping=0.05)),
    "GPT2LMHeadModel": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    ),
    "Qwen2ForCausalLM": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "Qwen3ForCausalLM": lambda: Qwen3ForCausalLM(Qwen3Config(**NARROW_HEADS)),
}


def batch() -> dict[str, torch.Tensor]:
    """Three right-padded rows; labels in the middle, at the end, and at the very first position (never predicted)."""
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(1, VOCABULARY, (3, 12), generator=generator)
    attention_mask = torch.ones_like(input_ids)
    labels = torch.full_like(input_ids, -100)
    labels[0, 5:] = input_ids[0, 5:]
    labels[1, 3:6] = input_ids[1, 3:6]
    labels[2, 0] = input_ids[2, 0]
    labels[2, 8] = input_ids[2, 8]
    attention_mask[1, 7:] = 0
    attention_mask[2, 9:] = 0
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def random_model(architecture: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS[architecture]().eval()


def test_every_architecture_that_is_trained_is_tested_here() -> None:
    assert set(MODELS) == set(CAUSAL_ARCHITECTURES)


@pytest.mark.parametrize("architecture", MODELS)
def test_labelled_logits_give_the_loss_and_the_gradients_of_all_logits(architecture: str) -> None:
    model, tensors = random_model(architecture), batch()
    expected = model(**tensors).loss * 11  # transformers' mean over the 7 + 3 + 1 predicted labels
    expected.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    for labels_only in (True, False):
        model.zero_grad()
        scored = TokenScores(model, logits_at_labels_only=labels_only)(**tensors)
        scored.loss_sum().backward()
        assert scored.loss_sum().item() == pytest.approx(expected.item(), abs=1e-4)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", MODELS)
def test_labelled_logits_are_those_that_the_model_itself_gives(architecture: str) -> None:
    model, tensors = random_model(architecture), batch()
    wanted = tensors["labels"][:, 1:] != -100
    logits = model(tensors["input_ids"], attention_mask=tensors["attention_mask"]).logits[:, :-1][wanted]
    scored = TokenScores(model, logits_at_labels_only=True)(**tensors)
    torch.testing.assert_close(scored.logits_NV, logits, atol=1e-5, rtol=1e-4)
    assert scored.targets_N.tolist() == tensors["labels"][:, 1:][wanted].tolist()
    assert scored.correct() == (logits.argmax(-1) == scored.targets_N).sum()


@pytest.mark.parametrize("attention", ["as transformers chooses", "eager"])
@pytest.mark.parametrize("architecture", MODELS)
def test_packed_examples_have_the_loss_and_the_gradients_of_separate_ones(architecture: str, attention: str) -> None:
    model = random_model(architecture)
    if attention == "eager":
        model.set_attn_implementation(attention)
    numbers = torch.Generator().manual_seed(1)
    examples = []
    for length in (9, 7, 6, 5, 3):
        ids = torch.randint(1, VOCABULARY, (length,), generator=numbers).tolist()
        examples.append(TokenisedExample(ids, [-100, -100, *ids[2:]]))
    separate = list(forward_passes(examples, [0, 1, 2, 3, 4], 0, rows=5))
    packed = list(forward_passes(examples, [0, 1, 2, 3, 4], 0, rows=2, row_tokens=16))
    assert [tuple(part.input_ids.shape) for part in packed] == [(2, 16)]
    scores, found = TokenScores(model, logits_at_labels_only=True), []
    for parts in (separate, packed):
        model.zero_grad()
        losses = [scores(**part).loss_sum() for part in parts]
        sum(losses).backward()
        found.append((sum(losses).item(), [p.grad.clone() for p in model.parameters()]))
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-4)
    for separate_gradient, packed_gradient in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(packed_gradient, separate_gradient, atol=1e-5, rtol=1e-4)


def test_softcapping_is_what_makes_gemma_2_logits_differ() -> None:
    model = random_model("Gemma2ForCausalLM")
    scored = TokenScores(model, logits_at_labels_only=True)(**batch())
    assert scored.logits_NV.abs().max() <= 0.05


def test_output_layer_runs_only_where_a_label_is() -> None:
    model, seen = random_model("LlamaForCausalLM"), []
    model.lm_head.register_forward_hook(lambda _, inputs, __: seen.append(tuple(inputs[0].shape)))
    TokenScores(model, logits_at_labels_only=True)(**batch())
    TokenScores(model, logits_at_labels_only=False)(**batch())
    assert seen == [(11, 32), (3, 12, 32)]


def test_context_length_is_found_under_both_of_its_names() -> None:
    assert context_length_of(random_model("GPT2LMHeadModel")) == 64
    assert context_length_of(random_model("LlamaForCausalLM")) == 64
