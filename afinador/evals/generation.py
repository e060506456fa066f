"""Answers that a model gives, and whether they are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from afinador.data.tokens.batching import pad_id_of
from afinador.data.tokens.templates import stop_ids
from afinador.evals.batches import batches_by_tokens
from afinador.models.families import context_length_of, pretrained_model_of


@torch.no_grad()
def generate_answers(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    *,
    max_new_tokens: int,
    tokens_per_pass: int,
    between_batches: Callable[[int, int], None] = lambda *_: None,
) -> list[str]:
    """Answer prompts greedily; the same weights give the same answers.

    Batches hold prompts of similar length, padded to the left. An answer ends at the tokenizer's or the model's own
    end token. Prompts have at most ``most_prompt_tokens``. ``between_batches`` is told before each pass how many are
    answered, and of how many, and may raise to stop.

    Returns:
        The answers in the order of the prompts, without special tokens and surrounding white space.
    """
    context = context_length_of(model)
    if context is not None:
        max_new_tokens = _within(context, max_new_tokens)
    config = _greedy(model, tokenizer, max_new_tokens)
    was_training = model.training
    model.eval()
    answers, done = [""] * len(prompts), 0
    for batch in batches_by_tokens([len(prompt) + max_new_tokens for prompt in prompts], tokens_per_pass):
        between_batches(done, len(prompts))
        done += len(batch)
        tokens = _generate(model, [prompts[index] for index in batch], config)
        for index, text in zip(batch, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
            answers[index] = text.strip()
    model.train(was_training)
    return answers


def most_prompt_tokens(model: nn.Module, max_new_tokens: int) -> int | None:
    """Return how long a prompt may be so that the model's context has room for an answer, too; None: as long as you like."""
    context = context_length_of(model)
    return None if context is None else context - _within(context, max_new_tokens)


def _within(context: int, max_new_tokens: int) -> int:
    return min(max_new_tokens, max(context // 2, 1))


def exact_match(answers: list[str], expected: list[str]) -> float:
    """Return the share of answers that equal what was expected, surrounding white space aside."""
    return sum(a.strip() == b.strip() for a, b in zip(answers, expected, strict=True)) / len(expected)


def _greedy(model: nn.Module, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> GenerationConfig:
    """Everything that a model's own generation_config.json might set otherwise is said here."""
    own: Any = getattr(pretrained_model_of(model).generation_config, "eos_token_id", None)
    ends = {*stop_ids(tokenizer), *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        use_cache=True,
        eos_token_id=sorted(ends),
        pad_token_id=pad_id_of(tokenizer),
    )


def _generate(model: nn.Module, prompts: list[list[int]], config: GenerationConfig) -> torch.Tensor:
    """Return the new tokens only, (B, at most max_new_tokens)."""
    device = next(model.parameters()).device
    width = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), width), config.pad_token_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.int64)
        attention_mask[row, width - len(prompt) :] = 1
    output = cast(Any, model).generate(
        input_ids=input_ids.to(device), attention_mask=attention_mask.to(device), generation_config=config
    )
    return output[:, width:]
