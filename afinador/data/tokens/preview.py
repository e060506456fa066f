"""The first records of a data set as the model will see them: each token learnt, only read, or cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.labels import class_of
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.classified import TEXT_AS_IT_IS, text_to_classify
from afinador.data.tokens.cutting import cut_of
from afinador.data.tokens.templates import EncodedSegment, encode, template_name
from afinador.data.tokens.tokenisation import NOT_TRAINED, fitted
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example, Shape

State = Literal["trained", "masked", "cut"]
TOKENS_SHOWN = 4096
"""Of one record; what a person looks at has an end."""
_SHOWN_OF_RUN = 128
"""Tokens at each end of a long run that is not learnt, if those between them have to be hidden."""
_LONGEST_CHARACTER = 4
"""Bytes, and so at most as many tokens, of which a character is made."""

Marked = list[tuple[int, State]]


def preview(
    examples: Iterable[Example],
    tokenizer: PreTrainedTokenizerBase,
    limits: Limits,
    records: int,
    shape: Shape | None = None,
) -> dict[str, Any]:
    """Return the first records, token by token, as plain JSON values.

    ``trained`` tokens are learnt, ``masked`` ones only read, ``cut`` ones never seen. A text is shown piece by piece;
    of a text to be classified the class is what is learnt. Beside each stands what ``TokenCheck`` doubts of it.

    Raises:
        ModelError: The tokenizer or its chat template cannot be used.
    """
    is_classified = limits.task == "sequence_classification"
    return {
        **asdict(limits),
        "usable_length": limits.usable_length,
        "template": TEXT_AS_IT_IS if is_classified else template_name(tokenizer),
        "records": [
            _record(example, tokenizer, limits) | {"doubts": _doubts(example, tokenizer, limits, shape)}
            for example in islice(examples, records)
        ],
    }


def _record(example: Example, tokenizer: PreTrainedTokenizerBase, limits: Limits) -> dict[str, Any]:
    shown: dict[str, Any] = {"line": example.line, "learns_class": None, "problem": None, "pieces": []}
    try:
        if limits.task == "sequence_classification":
            shown["learns_class"] = class_of(example.completion or "")
            pieces = [_classified(example, tokenizer, limits.usable_length)]
        else:
            pieces = _generated(example, tokenizer, limits.usable_length)
    except DataError as error:
        return {**shown, "problem": error.message, "counts": {}, "tokens_hidden": 0}
    states = [state for piece in pieces for _, state in piece]
    shown["repeated"] = sum(map(_context_tokens, pieces[1:]))
    gaps = _gaps(pieces, len(states) - TOKENS_SHOWN)
    room = TOKENS_SHOWN
    for number, piece in enumerate(pieces):
        told, room = _told(piece, [place for at, place in gaps if at == number], room, tokenizer)
        if told:
            shown["pieces"].append(told)
    counts = {state: states.count(state) for state in ("trained", "masked", "cut")}
    return {**shown, "counts": counts, "tokens_hidden": len(states) - TOKENS_SHOWN + room}


def _gaps(pieces: list[Marked], excess: int) -> list[tuple[int, range]]:
    """Return where tokens are hidden, by piece and in their order, so that what is learnt is seen of a long record.

    Args:
        pieces: A record.
        excess: How many tokens it has more than can be shown.
    """
    runs: list[tuple[int, range, State]] = []
    for number, piece in enumerate(pieces):
        start = 0
        for state, run in groupby(piece, key=lambda token: token[1]):
            stop = start + sum(1 for _ in run)
            if state != "trained" and stop - start > 2 * _SHOWN_OF_RUN:
                runs.append((number, range(start + _SHOWN_OF_RUN, stop - _SHOWN_OF_RUN), state))
            start = stop
    gaps = []
    for number, middle, _ in sorted(runs, key=lambda run: (run[2] != "cut", -len(run[1]))):
        if excess > 0:
            gaps.append((number, middle[: min(excess, len(middle))]))
            excess -= len(middle)
    return sorted(gaps, key=lambda gap: (gap[0], gap[1].start))


def _context_tokens(piece: Marked) -> int:
    """Return how many tokens a piece of a text has of those before it, at its beginning."""
    return sum(1 for _ in takewhile(lambda token: token[1] == "masked", piece))


def _doubts(example: Example, tokenizer: PreTrainedTokenizerBase, limits: Limits, shape: Shape | None) -> list[str]:
    found = check_tokens([example], tokenizer, limits, shape)
    return [problem["message"] for problem in found["warnings"] if problem["line"] is not None]


def _generated(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Marked]:
    segments = encode(example, tokenizer)
    pieces = fitted(example, segments, tokenizer, max_length)
    if example.text is None:
        return [_whole(example, segments, pieces[0].labels, tokenizer, max_length)]
    return [
        [
            (token, "masked" if label == NOT_TRAINED else "trained")
            for token, label in zip(piece.input_ids, piece.labels, strict=True)
        ]
        for piece in pieces
    ]


def _whole(
    example: Example,
    segments: list[EncodedSegment],
    kept_labels: list[int],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> Marked:
    cut = cut_of(example, segments, tokenizer, max_length)
    labels = iter(kept_labels)
    marked: Marked = []
    for place, token in enumerate(token for segment in segments for token in segment.ids):
        if cut.start <= place < cut.stop or place >= cut.end:
            marked.append((token, "cut"))
        else:
            marked.append((token, "masked" if next(labels) == NOT_TRAINED else "trained"))
    return marked


def _classified(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Marked:
    whole, kept = text_to_classify(example, tokenizer, max_length)
    same = next((place for place, (one, other) in enumerate(zip(whole, kept, strict=False)) if one != other), len(kept))
    end = len(whole) - (len(kept) - same)
    return [(token, "cut" if same <= place < end else "masked") for place, token in enumerate(whole)]


def _told(
    piece: Marked, gaps: list[range], room: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[dict[str, Any]], int]:
    """Return the tokens of a piece but for those in gaps, at most as many as there is room for, and the room left."""
    told: list[dict[str, Any]] = []
    start = hidden_before = 0
    for gap in [*gaps, range(len(piece), len(piece))]:
        stretch = piece[start : min(gap.start, start + room)]
        # The token before it goes along, for some tokenizers write the first token of a text otherwise than later ones.
        lead = 1 if start and stretch else 0
        texts = token_texts([token for token, _ in piece[start - lead : start + len(stretch)]], tokenizer)[lead:]
        for (token, state), text in zip(stretch, texts, strict=True):
            told.append({"id": token, "text": text, "state": state, "hidden_before": hidden_before})
            hidden_before = 0
        room -= len(stretch)
        start, hidden_before = gap.stop, len(gap)
    return told, room


def token_texts(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return what each token adds to the text; a token that ends in the middle of a character adds nothing yet."""
    texts = []
    begin = done = 0
    for end in range(1, len(ids) + 1):
        before = _decoded(ids[begin:done], tokenizer)
        now = _decoded(ids[begin:end], tokenizer)
        if now.endswith("\ufffd") and end - done < _LONGEST_CHARACTER:
            texts.append("")
            continue
        texts.append(now[len(before) :] if now.startswith(before) else _decoded(ids[done:end], tokenizer))
        begin, done = done, end
    return texts


def _decoded(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)) if ids else ""
