"""What is said of a record that is longer than the most tokens of an example."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from afinador.data.tokens.cutting import Cut, last_learnt, question_of
from afinador.data.tokens.templates import EncodedSegment
from afinador.data.tokens.tokenisation import CutCounts
from afinador.figures import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example


class Doubt(NamedTuple):
    """A warning about one record.

    Attributes:
        code: Stable word for programs.
        message: What is said, with the remedy.
        place: Where in the example: ``prompt``, ``completion``, ``text``, or a place in ``messages``.
    """

    code: str
    message: str
    place: str


def doubt_about_text(example: Example, cuts: CutCounts, length: int) -> Doubt:
    """Return what is said of a text to be classified that is cut."""
    said = f"{_too_long(example, cuts, length)}; its end is cut. Raise max_length, or shorten it."
    return Doubt("truncated_text", said, "prompt")


def doubts_about_cut(
    example: Example, cuts: CutCounts, lost: list[int], length: int, *, is_of_document: bool, is_prompt_lost: bool
) -> Iterator[Doubt]:
    """Yield what is said of a prompt with its answers that is cut.

    Args:
        example: No text.
        cuts: What was cut of it.
        lost: Of each answer before the last that is cut, how many tokens it loses.
        length: The most tokens of an example.
        is_of_document: Whether what is cut is the end of its document.
        is_prompt_lost: Whether nothing is left of what the last answer answers.
    """
    said = _too_long(example, cuts, length)
    asked, answer = places_of(example)
    if cuts.ends:
        loses = f"its answer loses its last {counted(cuts.end_tokens, 'token')}, and is never closed"
        yield Doubt("truncated_answer", f"{said}: {loses}. Raise max_length, or shorten the answer.", answer)
    if is_prompt_lost:
        what = "what it answers is cut away whole, and the answer is learnt without it"
        yield Doubt("lost_prompt", f"{said}: {what}. Raise max_length, or shorten the record.", asked)
    elif cuts.prompts and not cuts.ends and not lost:
        where, what = (
            ("the end of its document", "document") if is_of_document else ("the start of its prompt", "prompt")
        )
        loses = f"it loses {cuts.prompt_tokens:,} from {where}; the answer stays whole"
        yield Doubt("truncated_prompt", f"{said}: {loses}. Raise max_length, or shorten the {what}.", asked)
    if lost:
        answers = "1 of the assistant's answers is" if len(lost) == 1 else f"{len(lost)} of the assistant's answers are"
        said = f"{said}: {answers} lost, in whole or in part ({counted(sum(lost), 'token')} to be learnt)"
        place = answer if example.prompt_messages else asked
        yield Doubt("lost_answers", f"{said}. Raise max_length, or split the conversation into several records.", place)


def places_of(example: Example) -> tuple[str, str]:
    """Return where in an example it asks, and where its last answer is."""
    if example.text is not None:
        return "text", "text"
    if example.messages is None:
        return "prompt", "completion"
    return "messages", f"messages[{last_learnt(example)}].content"


def is_prompt_lost(
    example: Example, segments: list[EncodedSegment], cut: Cut, tokenizer: PreTrainedTokenizerBase
) -> bool:
    """Tell whether a cut leaves nothing of what the last answer answers, but perhaps what a template writes behind it."""
    if cut.stop <= cut.start or cut.of_document:
        return False
    answer = len(list(takewhile(lambda segment: segment.trained, reversed(segments))))
    before = segments[: len(segments) - answer]
    left = [token for segment in before for token in segment.ids][cut.stop :]
    if not left:
        return True
    question = question_of(example).strip()
    _, found, behind = "".join(segment.text for segment in before).rpartition(question or "\0")
    return bool(found) and len(str(tokenizer.decode(left)).strip()) <= len(behind.strip())


def _too_long(example: Example, cuts: CutCounts, length: int) -> str:
    tokens = cuts.prompt_tokens + cuts.end_tokens
    return f"Record at line {example.line} is longer than {length:,} tokens, by {tokens:,}"
