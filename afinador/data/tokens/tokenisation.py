"""From examples to token ids and labels, at most so many at once.

An answer keeps together with what is left of its prompt; a text without a prompt is trained whole, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afinador.data.tokens.cutting import cut_of
from afinador.data.tokens.templates import EncodedSegment, encode
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

NOT_TRAINED = -100
"""Label of a token that is no target; the loss ignores it."""


@dataclass(frozen=True)
class TokenisedExample:
    """Token ids and labels: as many as tokens, or a single one, the id of the text's class.

    Attributes:
        labels: ``labels[i]`` is ``input_ids[i]`` where that token is learnt, else -100; not shifted. The first is
            never learnt, since nothing stands before it.
        cut_before: How many tokens before the last answer were cut out to fit the length; a text loses none.
        cut_after: How many were cut off at its end: of an answer, or of a text to be classified.
        continues: This is a piece of a text that goes on where the piece before it ended.
    """

    input_ids: list[int]
    labels: list[int]
    cut_before: int = 0
    cut_after: int = 0
    continues: bool = False

    @property
    def cut_tokens(self) -> int:
        """How many tokens were cut on either side."""
        return self.cut_before + self.cut_after


@dataclass(frozen=True)
class CutCounts:
    """What was cut to fit the length.

    Attributes:
        records: How many lost tokens, on whichever side.
        prompts: How many lost some of what stands before the last answer, and how many tokens that were.
        ends: How many lost their end, with what closes it, and how many tokens that were.
    """

    records: int
    prompts: int
    prompt_tokens: int
    ends: int
    end_tokens: int


def tokenise_all(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[TokenisedExample]:
    """Yield examples as tokens, loss mask included, in their order; none has more than ``max_length``.

    A prompt with its answers loses some of what comes before the last answer, see ``cutting.cut_of``. Only an answer
    that is too long by itself is cut, at its end, and then not closed with EOS.

    A text loses nothing: it becomes consecutive pieces, in which each of its tokens, and the EOS after the last, is
    learnt exactly once. Each piece but the first has the last token of the piece before it as context, not learnt.

    Raises:
        DataError: The chat template refuses an example, or no token to be learnt is left.
        ModelError: The tokenizer has no end-of-sequence token.
    """
    for example in examples:
        yield from fitted(example, encode(example, tokenizer), tokenizer, max_length)


def fitted(
    example: Example, segments: list[EncodedSegment], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[TokenisedExample]:
    """Return an encoded example within ``max_length``, as ``tokenise_all`` says; of a text the pieces.

    Raises:
        DataError: No token to be learnt is left.
    """
    if example.text is None:
        pieces = [_cut_to_length(example, segments, tokenizer, max_length)]
    else:
        pieces = _windows(segments, max_length)
    if not any(count_targets(piece) for piece in pieces):
        raise DataError(
            f"Record at line {example.line} has no token left to learn within max_length {max_length}. "
            "Raise max_length, or shorten the record."
        )
    return pieces


def count_targets(example: TokenisedExample) -> int:
    """Return the number of tokens that are learnt."""
    return sum(label != NOT_TRAINED for label in example.labels)


def count_examples(tokenised: Iterable[TokenisedExample]) -> int:
    """Return how many examples they were before texts were cut into pieces."""
    return sum(not piece.continues for piece in tokenised)


def count_cuts(cuts: Iterable[tuple[int, int]]) -> CutCounts:
    """Return how many examples were cut, and on which side, of ``cut_before`` and ``cut_after`` of each."""
    cut = [(before, after) for before, after in cuts if before or after]
    befores = [before for before, _ in cut if before]
    afters = [after for _, after in cut if after]
    return CutCounts(len(cut), len(befores), sum(befores), len(afters), sum(afters))


def _windows(segments: list[EncodedSegment], max_length: int) -> list[TokenisedExample]:
    """Cut a text into pieces.

    The BOS, where the tokenizer adds one, stands before every piece: whoever generates puts it before every prompt, and
    many models lean on it. The context behind it keeps a piece from teaching that texts begin in their middle.
    """
    head = [token for segment in segments if not segment.trained for token in segment.ids]
    text = [token for segment in segments if segment.trained for token in segment.ids]
    pieces: list[TokenisedExample] = []
    start = 0
    while start < len(text):
        context = [*head, *text[max(0, start - 1) : start]]
        learnt = text[start : start + max(0, max_length - len(context))]
        if not learnt:
            return []  # max_length has no room for a single token beside its context
        labels = [NOT_TRAINED] * len(context) + learnt
        labels[0] = NOT_TRAINED
        pieces.append(TokenisedExample(context + learnt, labels, continues=start > 0))
        start += len(learnt)
    return pieces


def _cut_to_length(
    example: Example, segments: list[EncodedSegment], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> TokenisedExample:
    input_ids = [token for segment in segments for token in segment.ids]
    labels = [token if segment.trained else NOT_TRAINED for segment in segments for token in segment.ids]
    length, cut = len(input_ids), cut_of(example, segments, tokenizer, max_length)
    for tokens in (input_ids, labels):
        del tokens[cut.end :], tokens[cut.start : cut.stop]
    labels[:1] = [NOT_TRAINED] * len(labels[:1])
    return TokenisedExample(input_ids, labels, cut_before=cut.stop - cut.start, cut_after=length - cut.end)
