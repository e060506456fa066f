"""The texts of a record that is to be learnt from, and a few numbers for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import xxhash

from afinador.data.checks.near_duplicates import in_parts
from afinador.data.shapes import Example

FOLDED_CHARACTERS = 200
"""Questions and answers of at most so many are compared without regard to capitals and white space.

Longer ones mostly have enough words to be compared for near likeness, which tells the same of them where it is looked for:
of a large file in a part alone. Of a question of one word capitals may be the whole meaning."""

SYSTEM_ROLES = ("system", "developer")
_SEED_OF_ANSWERS = 1
_hash = xxhash.xxh3_64_intdigest


Digests = tuple[int, int, int]
"""What tells a record from others, in 18 bytes that are the same in every process: 64 bits of all but the answer (of a text
alone, of that); 64 bits of the answer, 0 where there is none; and 16 bits of how both are written, where capitals and white
space did not count, else 0."""


def texts_of(example: Example) -> Iterator[tuple[str, str]]:
    """Yield what a model sees of a record: the name of each field, as messages say it, and its text."""
    for field in ("prompt", "completion", "text"):
        text = getattr(example, field)
        if text is not None:
            yield field, text
    for index, message in enumerate(example.messages or ()):
        yield f"messages[{index}].content", message["content"]
        for number, call in enumerate(message.get("tool_calls", ())):
            yield f"messages[{index}].tool_calls[{number}].function.arguments", call["function"]["arguments"]


def parts_of(example: Example) -> list[str]:
    """Return all that tells a record from another one, the answer last; records with equal parts teach the same."""
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
    asked = "\x00".join(asked_of(parts))
    if not asked or asked.isspace():
        asked, answer = answer, ""
    return digests_of_pair(asked, answer, _encoded(asked), _encoded(answer))


def digests_of_pair(asked: str, answer: str, asked_bytes: bytes, answer_bytes: bytes) -> Digests:
    """Return the digests of a question that is no blank and its answer, which may be empty; both also as UTF-8."""
    is_short, has_short_answer = len(asked) <= FOLDED_CHARACTERS, len(answer) <= FOLDED_CHARACTERS
    question = answered = written = 0
    if is_short and len(words := asked.casefold().split()) > 1:
        question = _hash(_encoded(" ".join(words)))
    else:
        question = _hash(asked_bytes)
    if answer:
        folded = _encoded(" ".join(answer.casefold().split())) if has_short_answer else answer_bytes
        answered = _hash(folded, _SEED_OF_ANSWERS)
    if is_short or (answer and has_short_answer):
        written = _hash(asked_bytes + answer_bytes) & 0xFFFF
    return question, answered, written


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
