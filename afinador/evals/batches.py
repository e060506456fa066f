"""Batches for measuring: by length, as many examples as a number of tokens allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from afinador.data.tokens.batching import collate
from afinador.data.tokens.tokenisation import TokenisedExample, count_examples
from afinador.models.classification import ClassScores
from afinador.models.families import ScoredTargets, TokenScores

Tell = Callable[[str, int, int], None]
"""Told before each pass what is measured, ``examples`` or ``answers``, how many are done, and of how many; may raise to stop."""


def tell_nobody(what: str, done: int, total: int) -> None:
    """Do nothing."""


def batches_by_tokens(lengths: list[int], tokens_per_pass: int) -> list[list[int]]:
    """Group indices, longest first, so that padded batches hold at most ``tokens_per_pass`` tokens.

    An example that is longer than that makes a batch of its own.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= tokens_per_pass:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def scored_batches(
    scores: TokenScores | ClassScores,
    examples: Sequence[TokenisedExample],
    *,
    pad_id: int,
    tokens_per_pass: int,
    between_batches: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[list[int], ScoredTargets]]:
    """Score examples in batches, in evaluation mode, and leave the model in its former mode.

    Args:
        scores: Around the model.
        examples: What is scored.
        pad_id: Token id that fills batches.
        tokens_per_pass: Padded tokens of a forward pass.
        between_batches: Told before each pass how many examples are done, and of how many, a text of several pieces
            being one; may raise to stop.

    Yields:
        The indices of a batch and its scores.
    """
    device = next(scores.parameters()).device
    was_training = scores.training
    scores.eval()
    done, total = 0, count_examples(examples)
    for batch in batches_by_tokens([len(example.input_ids) for example in examples], tokens_per_pass):
        between_batches(done, total)
        pieces = [examples[index] for index in batch]
        done += count_examples(pieces)
        tensors = collate(pieces, pad_id).to(device)
        yield batch, scores(tensors.input_ids, tensors.attention_mask, tensors.labels)
    scores.train(was_training)
