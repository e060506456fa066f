"""What is left out of a prompt with its answers that is longer than the most tokens of an example.

Never the last answer while there is prompt to cut, and of the prompt what says least: a document loses its end, so that
what it is asked for stays, and its beginning, which names it; all else loses the start of what is asked, so that the
question before the answer stays, and a system message, the tools and the beginning of the turn before it do, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from afinador.data.tokens.encoding import text_ids
from afinador.data.tokens.templates import EncodedSegment, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

_SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True)
class Cut:
    """What is left of a record that is too long: the tokens before ``start``, and those from ``stop`` up to ``end``.

    Attributes:
        of_document: What is left out is the end of its document.
    """

    start: int
    stop: int
    end: int
    of_document: bool = False


def cut_of(
    example: Example, segments: list[EncodedSegment], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Cut:
    """Return what is left of a prompt with its answers: never less of the last answer while there is prompt to cut.

    Where what may be left out is not long enough, or a chat template has changed it, it is the start of everything but
    the BOS.
    """
    length = sum(len(segment.ids) for segment in segments)
    excess = max(0, length - max_length)
    if not excess:
        return Cut(0, 0, length)
    before = _Before(segments, tokenizer)
    document = before.tokens_of(example.document.text) if example.document else None
    if document and excess < len(document):
        return Cut(document.stop - excess, document.stop, length, of_document=True)
    asked = before.tokens_asked(example)
    if asked and excess < len(asked):
        return Cut(asked.start, asked.start + excess, length)
    first = next(token for segment in segments for token in segment.ids)
    head = int(first == tokenizer.bos_token_id)
    stop = min(head + excess, max(head, before.length))
    return Cut(head, stop, max_length + stop - head)


def prompt_of(example: Example, tokenizer: PreTrainedTokenizerBase, most_tokens: int | None = None) -> list[int]:
    """Return the token ids before the last answer, to generate from, cut as in training; of a ``text`` the BOS alone, or nothing.

    Args:
        example: Whose prompt it is.
        tokenizer: Of the base model.
        most_tokens: None if it may have any number.

    Raises:
        DataError: As ``templates.render``.
    """
    segments = encode_prompt(example, tokenizer)
    tokens = [token for segment in segments for token in segment.ids]
    if most_tokens is not None and len(tokens) > most_tokens:
        cut = cut_of(example, segments, tokenizer, most_tokens)
        del tokens[cut.end :], tokens[cut.start : cut.stop]
    return tokens


def lost_answers(segments: list[EncodedSegment], cut: Cut) -> list[int]:
    """Return of each answer before the last that is cut, in whole or in part, how many tokens it loses."""
    lost, position = [], 0
    for is_trained, run in groupby(segments, key=lambda segment: segment.trained):
        length = sum(len(segment.ids) for segment in run)
        tokens = min(position + length, cut.stop) - max(position, cut.start)
        if is_trained and tokens > 0:
            lost.append(tokens)
        position += length
    return lost


class _Before:
    """What stands before the last answer.

    Attributes:
        length: How many tokens it has.
    """

    def __init__(self, segments: Sequence[EncodedSegment], tokenizer: PreTrainedTokenizerBase) -> None:
        last = len(segments)
        while last and segments[last - 1].trained:
            last -= 1
        self._segments = segments[:last]
        self._tokenizer = tokenizer
        self._text = "".join(segment.text for segment in self._segments)
        self.length = sum(len(segment.ids) for segment in self._segments)

    def tokens_of(self, text: str) -> range | None:
        """Return where the tokens of a text are that stands there, the last time; None where it does not."""
        text = text.strip()
        start = self._text.rfind(text) if text else -1
        return range(self._token_at(start), self._token_before(start + len(text))) if start >= 0 else None

    def tokens_asked(self, example: Example) -> range | None:
        """Return where the tokens are from the first that is asked, behind a system message, to the end of the last."""
        if example.messages is None:
            return self.tokens_of(example.prompt or "")
        contents = [(each["role"], str(each.get("content") or "").strip()) for each in example.messages]
        start = 0
        while contents and contents[0][0] in _SYSTEM_ROLES:
            _, said = contents.pop(0)
            start = max(start, self._text.find(said) + len(said))
        start = self._text.find(contents[0][1], start) if contents[0][1] else -1
        asked = self.tokens_of(question_of(example))
        return range(self._token_at(start), asked.stop) if start >= 0 and asked else None

    def _token_at(self, character: int) -> int:
        """Return the token that a character begins, counted from the beginning of its piece."""
        for segment, end, tokens in self._pieces():
            if character <= end:
                start = end - len(segment.text)
                counted = self._count(segment.text[: character - start], segment, is_behind=start > 0)
                return tokens - len(segment.ids) + min(len(segment.ids), counted)
        return self.length

    def _token_before(self, character: int) -> int:
        """Return the token behind the one that ends before a character, counted from the end of its piece."""
        for segment, end, tokens in self._pieces():
            if character <= end:
                counted = self._count(segment.text[len(segment.text) - (end - character) :], segment, is_behind=True)
                return tokens - min(len(segment.ids), counted)
        return self.length

    def _pieces(self) -> zip[tuple[EncodedSegment, int, int]]:
        """Return each piece, and how many characters and tokens there are up to its end."""
        ends = accumulate(len(segment.text) for segment in self._segments)
        return zip(self._segments, ends, accumulate(len(segment.ids) for segment in self._segments), strict=True)

    def _count(self, text: str, segment: EncodedSegment, *, is_behind: bool) -> int:
        return len(text_ids(self._tokenizer, text, literal=segment.literal, continues=is_behind)) if text else 0


def question_of(example: Example) -> str:
    """Return what the last answer that is learnt answers."""
    if example.messages is None:
        return example.prompt or ""
    return str(example.messages[max(0, last_learnt(example) - 1)]["content"])


def last_learnt(example: Example) -> int:
    """Return the place of the last answer that is learnt among the messages."""
    learnt = [
        index
        for index, message in enumerate(example.messages or ())
        if message["role"] == "assistant" and message.get("weight") != 0
    ]
    return learnt[-1]
