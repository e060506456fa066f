"""How likely a model finds the answers that it should give."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from afinador.data.batching import collate
from afinador.data.tokenisation import TokenisedExample, count_targets
from afinador.evals.batches import batches_by_tokens
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


@torch.no_grad()
def measure_likelihood(
    scores: TokenScores,
    examples: list[TokenisedExample],
    *,
    pad_id: int,
    tokens_per_pass: int,
    between_batches: Callable[[], None] = lambda: None,
) -> Likelihood:
    """Measure loss and accuracy; the model is in evaluation mode meanwhile and in its former mode afterwards.

    Args:
        scores: Around the model.
        examples: At least one label among them all.
        pad_id: Token id that fills batches.
        tokens_per_pass: Padded tokens of a forward pass.
        between_batches: Called before each pass; may raise to stop.
    """
    device = next(scores.parameters()).device
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    tokens = 0
    was_training = scores.training
    scores.eval()
    for batch in batches_by_tokens([len(example.input_ids) for example in examples], tokens_per_pass):
        between_batches()
        tensors = collate([examples[index] for index in batch], pad_id)
        labels = tensors.labels.to(device)
        scored = scores(tensors.input_ids.to(device), tensors.attention_mask.to(device), labels)
        loss_sum += scored.loss_sum()
        correct += scored.correct()
        tokens += sum(count_targets(examples[index]) for index in batch)
    scores.train(was_training)
    return Likelihood(loss=loss_sum.item() / tokens, accuracy=correct.item() / tokens, tokens=tokens)
