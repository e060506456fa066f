"""The same held-out examples for the base model and the tuned one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from afinador.data.shapes import Example
from afinador.data.tokens.batching import pad_id_of
from afinador.data.tokens.cutting import prompt_of
from afinador.data.tokens.tokenisation import TokenisedExample, count_examples
from afinador.evals.batches import Tell, tell_nobody
from afinador.evals.generation import exact_match, generate_answers
from afinador.evals.likelihood import measure_likelihood
from afinador.models.families import TokenScores

SAMPLES = 5
"""Answers of both models that are shown side by side."""


@dataclass(frozen=True)
class Question:
    """A held-out example that can be asked.

    Attributes:
        prompt: What was asked, for people.
        prompt_ids: The same under the template, up to where the answer starts.
        expected: The right answer.
    """

    prompt: str
    prompt_ids: list[int]
    expected: str


@dataclass(frozen=True)
class HeldOut:
    """What both models are measured on.

    Attributes:
        examples: All examples of the validation file, tokenised; long texts in pieces, as in training.
        questions: Those that are answered by generation; empty for plain text.
        tokens_per_pass: Padded tokens of a forward pass.
    """

    examples: Sequence[TokenisedExample]
    questions: list[Question]
    tokenizer: PreTrainedTokenizerBase
    tokens_per_pass: int
    max_new_tokens: int
    logits_at_labels_only: bool


@dataclass(frozen=True)
class Assessment:
    """Figures and answers of one model."""

    figures: dict[str, Any]
    answers: list[str]


def questions_of(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, limit: int, most_tokens: int | None = None
) -> list[Question]:
    """Return the first ``limit`` examples that have a prompt and an answer, as questions.

    Args:
        examples: The held-out ones.
        tokenizer: Of the base model.
        limit: Most questions.
        most_tokens: Of a prompt, if the model reads no more; a longer one is cut as in training.
    """
    questions: list[Question] = []
    for example in examples:
        if len(questions) >= limit:
            break
        texts = _prompt_and_answer(example)
        if texts is not None:
            questions.append(Question(texts[0], prompt_of(example, tokenizer, most_tokens), texts[1].strip()))
    return questions


def assess(model: nn.Module, held_out: HeldOut, tell: Tell = tell_nobody) -> Assessment:
    """Measure one model on the held-out examples.

    Returns:
        Figures ``loss``, ``perplexity``, ``accuracy`` (of tokens), ``exact_match`` (None without questions),
        ``examples`` and ``generated``, and the answers to the questions.
    """
    likelihood = measure_likelihood(
        TokenScores(model, logits_at_labels_only=held_out.logits_at_labels_only),
        held_out.examples,
        pad_id=pad_id_of(held_out.tokenizer),
        tokens_per_pass=held_out.tokens_per_pass,
        between_batches=partial(tell, "examples"),
    )
    answers = generate_answers(
        model,
        held_out.tokenizer,
        [question.prompt_ids for question in held_out.questions],
        max_new_tokens=held_out.max_new_tokens,
        tokens_per_pass=held_out.tokens_per_pass,
        between_batches=partial(tell, "answers"),
    )
    expected = [question.expected for question in held_out.questions]
    figures = {
        **likelihood.figures(),
        "exact_match": exact_match(answers, expected) if expected else None,
        "examples": count_examples(held_out.examples),
        "generated": len(expected),
    }
    return Assessment(figures, answers)


def comparison(base: Assessment, tuned: Assessment, questions: list[Question]) -> dict[str, Any]:
    """Return the content of ``evaluation.json``: figures of both, and some answers side by side."""
    samples = [
        {"prompt": question.prompt, "expected": question.expected, "base": base_answer, "tuned": tuned_answer}
        for question, base_answer, tuned_answer in zip(questions, base.answers, tuned.answers, strict=True)
    ]
    return {"base": base.figures, "tuned": tuned.figures, "samples": samples[:SAMPLES]}


def _prompt_and_answer(example: Example) -> tuple[str, str] | None:
    """Return both texts; of a conversation its last user turn and the assistant's last answer."""
    if example.prompt is not None and example.completion is not None:
        return example.prompt, example.completion
    messages = example.messages or ()
    if not messages or messages[-1].get("role") != "assistant" or not isinstance(messages[-1].get("content"), str):
        return None
    asked = [message.get("content") for message in messages[:-1] if message.get("role") == "user"]
    return str(asked[-1] if asked else ""), messages[-1]["content"]
