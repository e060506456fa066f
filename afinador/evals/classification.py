"""How good a classifier is: accuracy, macro F1, and each class by itself; base against tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.evals.batches import Tell, scored_batches, tell_nobody
from afinador.models.classification import ClassScores

SAMPLES = 5
"""Predictions of both models that are shown side by side."""


@dataclass(frozen=True)
class Classification:
    """Predictions for held-out texts.

    Attributes:
        loss: Mean cross entropy of a text, in nats.
        expected: Ids of the right classes.
        predicted: Ids of the classes with the highest scores, in the same order.
    """

    loss: float
    expected: list[int]
    predicted: list[int]

    @property
    def accuracy(self) -> float:
        """Share of texts whose class was found."""
        return sum(a == b for a, b in zip(self.expected, self.predicted, strict=True)) / len(self.expected)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur in the held-out texts; a class that is never found counts 0.

        Classes that do not occur are left out, also where they were predicted: both models of a comparison are judged
        by the same classes. It is scikit-learn's ``f1_score(…, labels=those that occur, average="macro")``.
        """
        present = sorted(set(self.expected))
        return sum(self.of_class(number)["f1"] for number in present) / len(present)

    def of_class(self, number: int) -> dict[str, float]:
        """Return ``precision``, ``recall`` and ``f1`` of one class; 0 where there is nothing to divide by."""
        hits = sum(a == b == number for a, b in zip(self.expected, self.predicted, strict=True))
        expected, predicted = self.expected.count(number), self.predicted.count(number)
        return {
            "precision": hits / predicted if predicted else 0.0,
            "recall": hits / expected if expected else 0.0,
            "f1": 2 * hits / (expected + predicted) if expected + predicted else 0.0,
        }

    def figures(self) -> dict[str, float]:
        """Return what is told of it by name."""
        return {"loss": self.loss, "accuracy": self.accuracy, "macro_f1": self.macro_f1}


@torch.no_grad()
def measure_classes(
    scores: ClassScores,
    examples: Sequence[TokenisedExample],
    *,
    pad_id: int,
    tokens_per_pass: int,
    between_batches: Callable[[int, int], None] = lambda *_: None,
) -> Classification:
    """Classify texts; the arguments are those of ``afinador.evals.batches.scored_batches``."""
    loss_sum = torch.zeros((), device=next(scores.parameters()).device)
    predicted = [0] * len(examples)
    for batch, scored in scored_batches(
        scores, examples, pad_id=pad_id, tokens_per_pass=tokens_per_pass, between_batches=between_batches
    ):
        loss_sum += scored.loss_sum()
        for index, number in zip(batch, scored.logits_NV.argmax(dim=-1).tolist(), strict=True):
            predicted[index] = number
    expected = [example.labels[0] for example in examples]
    return Classification(loss_sum.item() / len(examples), expected, predicted)


@dataclass(frozen=True)
class HeldOutTexts:
    """What both classifiers are measured on.

    Attributes:
        texts: As they stand in the validation file.
        examples: The same as token ids, each with the id of its class.
        classes: By their ids.
        tokens_per_pass: Padded tokens of a forward pass.
    """

    texts: list[str]
    examples: Sequence[TokenisedExample]
    classes: tuple[str, ...]
    pad_id: int
    tokens_per_pass: int


def classify(model: nn.Module, held_out: HeldOutTexts, tell: Tell = tell_nobody) -> Classification:
    """Measure one model on the held-out texts."""
    return measure_classes(
        ClassScores(model),
        held_out.examples,
        pad_id=held_out.pad_id,
        tokens_per_pass=held_out.tokens_per_pass,
        between_batches=partial(tell, "examples"),
    )


def comparison_of_classes(
    base: Classification, tuned: Classification, held_out: HeldOutTexts, *, base_head: str
) -> dict[str, Any]:
    """Return the content of ``evaluation.json``: figures of both, each class that occurs, and some predictions.

    Args:
        base: Of the base model.
        tuned: Of the tuned one.
        held_out: What both were measured on.
        base_head: ``untrained`` where the base has a new head, which guesses; ``own`` where it came with one.
    """
    names = held_out.classes
    samples = [
        {"prompt": text, "expected": names[right], "base": names[before], "tuned": names[after]}
        for text, right, before, after in zip(
            held_out.texts, tuned.expected, base.predicted, tuned.predicted, strict=True
        )
    ]
    return {
        "base": {**base.figures(), "examples": len(base.expected), "head": base_head},
        "tuned": {**tuned.figures(), "examples": len(tuned.expected)},
        "classes": [
            {
                "class": names[number],
                "examples": tuned.expected.count(number),
                "base_f1": base.of_class(number)["f1"],
                **tuned.of_class(number),
            }
            for number in sorted(set(tuned.expected))
        ],
        "samples": samples[:SAMPLES],
    }
