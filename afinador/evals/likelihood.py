"""How likely a model finds the answers that it should give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from afinador.data.tokens.tokenisation import TokenisedExample, count_targets
from afinador.evals.batches import scored_batches
from afinador.models.families import TokenScores


@dataclass(frozen=True)
class Likelihood:
    """Figures over all labelled tokens.

    Attributes:
        loss: Mean negative log-likelihood of a token, in nats.
        accuracy: Share of tokens that were the most likely one.
        tokens: Labelled tokens.
    """

    loss: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """``exp(loss)``, at most ``exp(700)``, so that it stays a number."""
        return math.exp(min(self.loss, 700.0))

    def figures(self) -> dict[str, float]:
        """Return what is told of it by name."""
        return {"loss": self.loss, "perplexity": self.perplexity, "accuracy": self.accuracy}


@torch.no_grad()
def measure_likelihood(
    scores: TokenScores,
    examples: Sequence[TokenisedExample],
    *,
    pad_id: int,
    tokens_per_pass: int,
    between_batches: Callable[[int, int], None] = lambda *_: None,
) -> Likelihood:
    """Measure loss and accuracy; the model is in evaluation mode meanwhile and in its former mode afterwards.

    Args:
        scores: Around the model.
        examples: At least one label among them all.
        pad_id: Token id that fills batches.
        tokens_per_pass: Padded tokens of a forward pass.
        between_batches: As of ``afinador.evals.batches.scored_batches``.
    """
    device = next(scores.parameters()).device
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    tokens = 0
    for batch, scored in scored_batches(
        scores, examples, pad_id=pad_id, tokens_per_pass=tokens_per_pass, between_batches=between_batches
    ):
        loss_sum += scored.loss_sum()
        correct += scored.correct()
        tokens += sum(count_targets(examples[index]) for index in batch)
    return Likelihood(loss=loss_sum.item() / tokens, accuracy=correct.item() / tokens, tokens=tokens)
