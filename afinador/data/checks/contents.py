"""The texts of a record that is to be learnt from, and a few numbers for all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import orjson
import xxhash

from afinador.data.checks.near_duplicates import in_parts
from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.data.shapes import SHAPES, Example, Shape
from afinador.data.shapes.sharegpt import ROLES

FOLDED_CHARACTERS = 200
"""Questions and answers of at most so many are compared without regard to capitals and white space.

Longer ones mostly have enough words to be compared for near likeness, which tells the same of them where it is looked for:
of a large file in a part alone. Of a question of one word capitals may be the whole meaning."""

VALUES_SEARCHED = 10_000
"""So many values of a record that cannot be used are searched for texts: any list may stand where a conversation should."""

_NOT_TEXTS = ("label", "metadata")
_ANSWERING = frozenset(name for name, role in ROLES.items() if role == "assistant")
SYSTEM_ROLES = ("system", "developer")
_SEED_OF_ANSWERS = 1
_CONVERSATIONS = {"messages": "content", "conversations": "value"}
_CONVERSATIONS |= dict.fromkeys(
    ("prompt", "completion", "chosen", "rejected", "preferred_output", "non_preferred_output"), "content"
)
# A name that can be shown as it is: without digits, it is nobody's number.
_EASY_NAME = re.compile(r"(?:[^\W\d]|[ -]){1,30}")
_hash = xxhash.xxh3_64_intdigest


Digests = tuple[int, int, int]
"""What tells a record from others, in 18 bytes that are the same in every process: 64 bits of all but the answer (of a text
alone, of that); 64 bits of the answer, 0 where there is none; and 16 bits of how both are written, where capitals and white
space did not count, else 0."""


def texts_of(record: Record, example: Example, used: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a record as somebody wrote them, each behind its place: ``input``, ``conversations[2].value``.

    Args:
        record: As it was read.
        example: What training takes of it.
        used: The fields that its shape uses; others are not learnt.
    """
    for name, value in record.fields.items():
        if name not in used:
            continue
        if type(value) is str and not (name == "metadata" and example.document is not None):
            yield name, value
        elif name in _CONVERSATIONS:
            yield from _said(name, value)
        elif name == "metadata" and example.document is not None:  # may have been a JSON text
            yield from _texts_in(example.document.metadata, name)
        else:
            yield from _texts_in(value, name)


def all_texts_of(record: Record, names: Collection[str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield the texts in some fields of a record, whatever they are, each behind its place; in all fields if none are named.

    No more than ``VALUES_SEARCHED`` values are looked at.
    """
    fields = ((_shown(name), value) for name, value in record.fields.items() if names is None or name in names)
    values = chain.from_iterable(_values_in(value, place) for place, value in fields)
    return ((place, value) for place, value in islice(values, VALUES_SEARCHED) if isinstance(value, str))


def with_name(place: str, text: str) -> str:
    """Return a text of metadata or arguments behind its name, which may tell that it is a secret; others as they are."""
    is_named = place.startswith("metadata.") or ".arguments." in place
    return f"{place.rpartition('.')[2]}: {text}" if is_named else text


def learnt_texts_of(record: Record, shape: Shape) -> Iterator[tuple[str, str]]:
    """Yield the texts of a record that are learnt as they are, each behind its place; labels are looked at together."""
    known = SHAPES[shape]
    for name in known.fields:
        value = record.fields.get(name)
        if name in known.asked or name in _NOT_TEXTS:
            continue
        if isinstance(value, str):
            yield name, value
        elif name in _CONVERSATIONS and isinstance(value, list):
            said = _CONVERSATIONS[name]
            for index, turn in enumerate(value):
                is_learnt = turn.get("role", turn.get("from")) in _ANSWERING and turn.get("weight") != 0
                if is_learnt and isinstance(turn.get(said), str):
                    yield f"{name}[{index}].{said}", turn[said]


def _said(name: str, turns: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    said = _CONVERSATIONS[name]
    for index, turn in enumerate(turns):
        text = turn.get(said)
        if type(text) is str:
            yield f"{name}[{index}].{said}", text
        elif text is not None:
            yield from _texts_in(text, f"{name}[{index}].{said}")
        for number, call in enumerate(turn.get("tool_calls") or ()):
            place = f"{name}[{index}].tool_calls[{number}].function.arguments"
            yield from _texts_in(call["function"]["arguments"], place)


def _texts_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    return ((inner, item) for inner, item in _values_in(value, place) if isinstance(item, str))


def _values_in(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield a value and all that are in it, one by one: there may be millions."""
    left = [iter([(place, value)])]
    while left:
        for inner, item in left[-1]:
            yield inner, item
            if isinstance(item, dict | list | tuple):
                left.append(_items_of(item, inner))
                break
        else:
            left.pop()


def _items_of(value: dict[str, Any] | list[Any] | tuple[Any, ...], place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f"{place}.{_shown(name)}", item) for name, item in value.items())
    return ((f"{place}[{index}]", item) for index, item in enumerate(value))


def _shown(name: Any) -> str:
    return name if isinstance(name, str) and _EASY_NAME.fullmatch(name) else shortened(name)


def characters_of(example: Example) -> int:
    """Return how many characters a model sees of a record."""
    characters = sum(len(text) for text in (example.prompt, example.completion, example.text) if text is not None)
    for message in example.messages or ():
        characters += len(message["content"])
        if "tool_calls" in message:
            characters += sum(len(call["function"]["arguments"]) for call in message["tool_calls"])
    return characters


def parts_of(example: Example) -> list[str]:
    """Return all that tells a record from another one, the answer last; records with equal parts teach the same."""
    if example.rejected is not None:  # a pair teaches the same as another one with both of its answers alone
        *asked, answer = parts_of(replace(example, rejected=None))
        return [*asked, f"{answer}\x00{example.rejected}"]
    if example.messages is None:
        return [text for text in (example.prompt, example.completion, example.text) if text is not None]
    parts = [_written(list(example.tools))] if example.tools else []
    for message in example.messages:
        others = {name: value for name, value in message.items() if name not in ("role", "content")}
        if others:
            parts.append(_written(others))
        parts += (message["role"], message["content"])
    return parts


def asked_of(parts: list[str]) -> list[str]:
    """Return the parts before the answer; of a message and its answer that message alone, as of a prompt."""
    is_one_turn = len(parts) == 4 and parts[0] == "user" and parts[2] == "assistant"
    return parts[1:2] if is_one_turn else parts[:-1]


def compared_of(parts: list[str], *, is_prompt: bool, is_call: bool = False) -> list[list[str]]:
    """Return what of a record has to be alike, each by itself, where it is to be nearly the same as another one.

    Args:
        parts: As ``parts_of`` gives them.
        is_prompt: Whether what is asked may hold an instruction, unlike a text that is to be classified or translated.
        is_call: Whether the answer calls tools: they are of the part before its last role.
    """
    answer = [parts[-3], parts[-1]] if is_call else parts[-1:]
    asked = parts[:-3] if is_call else asked_of(parts)
    if len(asked) > 1:  # a conversation: of many, tools are the same
        asked = asked[1:] if asked[0].startswith("[") else asked
    start = 2 if len(asked) > 1 and asked[0] in SYSTEM_ROLES else 0
    question = asked[start:]
    if len(question) == 2 and question[0] == "user":
        question = question[1:]
    return in_parts(question, answer, asked[:start], is_prompt=is_prompt)


def digests_of(parts: list[str]) -> Digests:
    """Return what is, but for a chance of one in billions, equal for records alone that ask and answer the same.

    A message and its answer are a prompt and its completion. The digests are the same in every process and version, for
    they are kept with verdicts.
    """
    answer = parts[-1]
    if len(parts) == 1:
        return digests_of_pair(_encoded(answer), b"", if_short(answer), "")
    asked = "\x00".join(asked_of(parts))
    if not asked or asked.isspace():
        asked, answer = answer, ""
    return digests_of_pair(_encoded(asked), _encoded(answer), if_short(asked), if_short(answer))


def if_short(text: str) -> str | None:
    """Return a text that is compared without regard to capitals and white space; None of a longer one."""
    return text if len(text) <= FOLDED_CHARACTERS else None


def digests_of_pair(asked: bytes, answer: bytes, short_asked: str | None, short_answer: str | None) -> Digests:
    """Return the digests of a question that is no blank and its answer, which may be empty.

    Args:
        asked: The question in UTF-8.
        answer: The answer in UTF-8.
        short_asked: The question, as ``if_short`` gives it.
        short_answer: The same of the answer.
    """
    answered = written = 0
    if short_asked is not None and len(words := short_asked.casefold().split()) > 1:
        question = _hash(_encoded(" ".join(words)))
    else:
        question = _hash(asked)
    if answer:
        folded = answer if short_answer is None else _encoded(" ".join(short_answer.casefold().split()))
        answered = _hash(folded, _SEED_OF_ANSWERS)
    if short_asked is not None or (answer and short_answer is not None):
        written = _hash(asked + answer) & 0xFFFF
    return question, answered, written


def digests_of_long_pair(asked: bytes, answer: bytes) -> Digests:
    """Return what ``digests_of_pair`` does of a question and an answer that are both too long for ``if_short``."""
    return _hash(asked), _hash(answer, _SEED_OF_ANSWERS), 0


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a reader may have let half surrogates through
        return text.encode("utf-8", "surrogatepass")


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # integers of more than 64 bits
        return repr(value)
