"""One question to both kinds of model: how good is it on held-out examples?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.evals.classification import Classification, measure_classes
from afinador.evals.likelihood import Likelihood, measure_likelihood
from afinador.models.classification import ClassScores
from afinador.models.families import TokenScores


def measure(
    scores: TokenScores | ClassScores,
    examples: Sequence[TokenisedExample],
    *,
    pad_id: int,
    tokens_per_pass: int,
    between_batches: Callable[[int, int], None] = lambda *_: None,
) -> Likelihood | Classification:
    """Measure a classifier by its predictions, any other model by the likelihood of the answers.

    The arguments are those of ``afinador.evals.batches.scored_batches``.
    """
    if isinstance(scores, ClassScores):
        return measure_classes(
            scores, examples, pad_id=pad_id, tokens_per_pass=tokens_per_pass, between_batches=between_batches
        )
    return measure_likelihood(
        scores, examples, pad_id=pad_id, tokens_per_pass=tokens_per_pass, between_batches=between_batches
    )
