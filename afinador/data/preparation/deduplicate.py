"""``deduplicate``: keeps the first of records that are the same, or nearly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from typing import Any

from afinador.data.checks.contents import SYSTEM_ROLES
from afinador.data.checks.near_duplicates import Signature, in_parts, signatures_of
from afinador.data.checks.word_runs import FEWEST_WORDS
from afinador.data.preparation.likeness import LOWEST, MOST_COMPARED, Likeness
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import texts_in, value_of
from afinador.data.records import Record
from afinador.data.shapes import label_text
from afinador.errors import InvalidRequestError

LEARNT = ("completion", "output", "answer", "label", "target", "metadata", "chosen", "rejected")
"""Fields that hold the answer of a record."""
LEARNT_TURNS = ("assistant", "gpt", "chatgpt", "model", "bard", "function_call")
"""Who speaks it in a conversation."""

SHARED = ("system", "instruction", "oracle", "distractors")
"""Fields that many questions may share; a conversation's first turn is one where the system speaks."""
UNLIKE = ("tools", "functions", "type", "schema")
"""Fields that make no records alike, nor different."""
PLAIN = ("text", "source", "document")
"""Fields that hold no instruction beside what is asked."""


def digest_of(record: Record, fields: Sequence[str] = ()) -> bytes:
    """Return 16 bytes that equal records, or records with equal ``fields``, share; the order of fields does not count.

    Raises:
        DataError: The record has no such field.
    """
    value = [value_of(record, name) for name in fields] if fields else record.fields
    content = json.dumps(value, sort_keys=True, default=str)
    return blake2b(content.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    fields = _fields(settings)
    near = settings.number_of("near", LOWEST, 1) if settings.has("near") else None

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        seen: set[bytes] = set()
        tally.counts = {"exact": 0} if near is None else {"exact": 0, "near": 0}
        with ExitStack() as stack:
            like = stack.enter_context(Likeness(near, settings.place)) if near is not None else None
            for row in rows:
                digest = digest_of(row.record, fields)
                if digest in seen:
                    tally.counts["exact"] += 1
                elif like is not None and like.is_known(_signature(row.record, fields)):
                    tally.counts["near"] += 1
                else:
                    seen.add(digest)
                    yield row

    return work


def _fields(settings: Settings) -> list[str]:
    if settings.has("field") and settings.has("fields"):
        raise InvalidRequestError(
            f"{settings.place} takes 'field' or 'fields'; give one of them.", param=settings.param("fields")
        )
    if settings.has("fields"):
        return settings.list_of_texts("fields", "a list of names of fields")
    field = settings.optional_text("field", "the name of a field")
    return [field] if field else []


def _signature(record: Record, fields: list[str]) -> Signature | None:
    values = {name: value_of(record, name) for name in fields} if fields else record.fields
    question: list[str] = []
    answer: list[str] = []
    instruction: list[str] = []
    for name, value in values.items():
        if (turns := _turns_in(name, value)) is not None:
            for index, turn in enumerate(turns):
                is_system = index == 0 and _speaker_of(turn) in SYSTEM_ROLES
                is_learnt = _speaker_of(turn) in LEARNT_TURNS
                if is_learnt or name != "rejected":  # before it stands what is before the better answer
                    part = answer if is_learnt else instruction if is_system else question
                    part.extend([*texts_in([turn]), *_calls_in(turn)])
        elif name in LEARNT:
            answer.extend([label_text(value)] if isinstance(value, bool | int | float) else texts_in(value))
        elif name not in UNLIKE or fields:
            (instruction if name in SHARED else question).extend(texts_in(value))
    parts = in_parts(question, answer, instruction, is_prompt=values.keys().isdisjoint(PLAIN))
    return signatures_of([parts])[0]


def _turns_in(name: str, value: Any) -> list[Any] | None:
    """Return the turns of a conversation, whatever field holds it; None where there is none."""
    if name == "input" and isinstance(value, dict):  # of OpenAI's pairs
        value = value.get("messages")
    return value if isinstance(value, list) and value and _speaker_of(value[0]) is not None else None


def _speaker_of(turn: Any) -> Any:
    return turn.get("role", turn.get("from")) if isinstance(turn, dict) else None


def _calls_in(turn: Any) -> list[str]:
    calls = turn.get("tool_calls") if isinstance(turn, dict) else None
    return [json.dumps(calls, default=str)] if calls else []


KIND = StepKind(
    name="deduplicate",
    description="Keeps the first of records that are the same, or nearly, and tells how many of each kind went.",
    keys={
        "field": "only this field is looked at; the whole record if omitted",
        "fields": "instead: only these fields, `[prompt, completion]`",
        "near": f"also drop what is like a record before it: the share of their runs of three words that both have, "
        f"{LOWEST:g} to 1, such as `0.85` (MinHash, so about). The answer ({', '.join(f'`{name}`' for name in LEARNT)}, the "
        "assistant's turns), what many questions may share (the system's turn, oracle and distractors, an `instruction` with an `input`, or "
        "all but the last paragraph, or line, of a prompt) and the rest have to be as alike, each by itself; tools and schemas do not count. Texts of fewer than "
        f"{FEWEST_WORDS} words are only held to be the same, and at most {MOST_COMPARED:,} different records are compared",
    },
    make=_make,
)
