"""From an example to token ids and labels, cut to length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from afinador.data.templates import EncodedSegment, encode
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

NOT_TRAINED = -100
"""Label of a token that is no target; the loss ignores it."""


@dataclass(frozen=True)
class TokenisedExample:
    """Token ids and labels, equally long.

    Attributes:
        labels: ``labels[i]`` is ``input_ids[i]`` where that token is learnt, else -100; not shifted. The first is
            never learnt, since nothing stands before it.
        cut_tokens: How many tokens were cut off to fit the length.
    """

    input_ids: list[int]
    labels: list[int]
    cut_tokens: int = 0


def tokenise(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenisedExample:
    """Return an example as tokens, loss mask included.

    What is longer than ``max_length`` tokens loses the start of what comes before the last answer (the BOS stays). Only
    an answer that is too long by itself is cut, at its end, and then not closed with EOS.

    Raises:
        DataError: The chat template refuses the example, or no token to be learnt is left.
        ModelError: The tokenizer has no end-of-sequence token.
    """
    segments = encode(example, tokenizer)
    input_ids = [token for segment in segments for token in segment.ids]
    labels = [token if segment.trained else NOT_TRAINED for segment in segments for token in segment.ids]
    excess = max(0, len(input_ids) - max_length)
    if excess:
        head = int(input_ids[0] == tokenizer.bos_token_id)
        cut = slice(head, min(head + excess, max(head, _start_of_last_answer(segments))))
        del input_ids[cut], labels[cut]
        del input_ids[max_length:], labels[max_length:]
    labels[:1] = [NOT_TRAINED] * len(labels[:1])
    tokenised = TokenisedExample(input_ids, labels, cut_tokens=excess)
    if count_targets(tokenised) == 0:
        raise DataError(
            f"Record at line {example.line} has no token left to learn within max_length {max_length}. "
            "Raise max_length, or shorten the record."
        )
    return tokenised


def count_targets(example: TokenisedExample) -> int:
    """Return the number of tokens that are learnt."""
    return sum(label != NOT_TRAINED for label in example.labels)


def _start_of_last_answer(segments: list[EncodedSegment]) -> int:
    last = len(segments)
    while last and segments[last - 1].trained:
        last -= 1
    return sum(len(segment.ids) for segment in segments[:last])
