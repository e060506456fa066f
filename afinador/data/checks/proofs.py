"""Lines of JSON that surely have no fault and no doubt, told from all others ten times as fast as by looking closely.

A line is proven only if orjson takes it, if its record has the fields of its shape as plain texts, if no key occurs
twice, and if it holds no strange character. Everything else is left to the detailed checks: a proof may fail for a good
record, and never holds for a bad one. orjson refuses by itself what they refuse too: invalid UTF-8, NaN, half
surrogates, numbers beyond a double's range, a byte order mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from afinador.data.checks.characters import may_be_strange
from afinador.data.checks.findings import Proven
from afinador.data.checks.judging import LONG_RECORD_CHARACTERS, used_fields
from afinador.data.shapes import OPTIONAL_FIELDS, SHAPES, Shape

_PLAIN_ROLES = frozenset({"system", "user", "assistant"})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_CLAIMED = frozenset(name for names in SHAPES.values() for name in names)
_CLAIMED |= {name for names in OPTIONAL_FIELDS.values() for name in names} | {"functions"}
# The end of a key that is not followed by its colon at once, or the end of a quotation inside of a text.
_QUOTE_SPACE_COLON = re.compile(rb'"[ \t\r]+:')
_BACKSLASH = ord("\\")
_LONGEST_LINE_BYTES = LONG_RECORD_CHARACTERS


def prove(lines: list[bytes], raw: bytes, shape: Shape) -> list[Proven | None]:
    """Return for each line that its record is good, or None where that is not sure.

    Args:
        lines: Of JSON in UTF-8, without their ends.
        raw: The same in one piece.
        shape: Of the file.
    """
    prover = _PROVERS.get(shape)
    if prover is None:
        return [None] * len(lines)
    looks_strange = may_be_strange(raw)
    proven: list[Proven | None] = []
    keys: list[int] = []
    for line in lines:
        found, count = (None, 0) if looks_strange and may_be_strange(line) else _proven(line, shape, prover)
        proven.append(found)
        keys.append(count)
    if _QUOTE_SPACE_COLON.search(raw) is None:
        doubtful = sum(_keys_in(line) for line, found in zip(lines, proven, strict=True) if found is None)
        if _keys_in(raw) - doubtful == sum(keys):
            return proven
    return [
        found and _with_single_keys(found, line, count) for found, line, count in zip(proven, lines, keys, strict=True)
    ]


def is_claimed(name: str) -> bool:
    """Tell whether a field of this name may make a record one of another shape."""
    return name in _CLAIMED


def _with_single_keys(found: Proven, line: bytes, keys: int) -> Proven | None:
    """Return what was found if no key of the line occurs twice."""
    if any(line[match.start() - 1] != _BACKSLASH for match in _QUOTE_SPACE_COLON.finditer(line)):
        return None
    return found if _keys_in(line) == keys else None


def _keys_in(raw: bytes) -> int:
    """Count the keys of good JSON that end without a backslash and have their colon at once.

    A quote and a colon are the end of a key, but for an escaped quote of a text.
    """
    return raw.count(b'":') - raw.count(b'\\":')


def _proven(line: bytes, shape: Shape, prover: Callable[[Any], Proven | None]) -> tuple[Proven | None, int]:
    if len(line) > _LONGEST_LINE_BYTES:
        return None, 0
    try:
        fields = orjson.loads(line)
        found = prover(fields)
    except (orjson.JSONDecodeError, KeyError, TypeError):  # no JSON, or not built as the shape is
        return None, 0
    if found is None:
        return None, 0
    keys = len(fields)
    if keys > len(SHAPES[shape].fields):
        used = used_fields(shape)
        for name, value in fields.items():
            if name not in used:
                if name in _CLAIMED or name.endswith("\\") or type(value) not in _SCALARS:
                    return None, 0
                found.ignored.append(name)
    return found, keys + (2 * len(fields["messages"]) if shape == "messages" else 0)


def _chat(fields: dict[str, Any]) -> Proven | None:
    messages = fields["messages"]
    if "tools" in fields or type(messages) is not list:
        return None
    parts: list[str] = []
    role = None
    for message in messages:
        role, content = message["role"], message["content"]
        if (
            len(message) != 2
            or role not in _PLAIN_ROLES
            or not content
            or type(content) is not str
            or content.isspace()
        ):
            return None
        parts.append(role)
        parts.append(content)
    if role != "assistant" or parts[0] == "assistant":
        return None
    return Proven(parts, sum(map(len, parts[1::2])), [])


def _prompt_completion(fields: dict[str, Any]) -> Proven | None:
    prompt, completion = fields["prompt"], fields["completion"]
    if not _is_text(prompt) or not _is_text(completion):
        return None
    return Proven([prompt, completion], len(prompt) + len(completion), [])


def _text_label(fields: dict[str, Any]) -> Proven | None:
    text, label = fields["text"], fields["label"]
    if not _is_text(text) or not (_is_text(label) or type(label) is int):
        return None
    return Proven([text, str(label)], len(text) + len(str(label)), [], label)


def _text(fields: dict[str, Any]) -> Proven | None:
    text = fields["text"]
    return Proven([text], len(text), []) if _is_text(text) else None


def _is_text(value: Any) -> bool:
    return type(value) is str and value != "" and not value.isspace()


_PROVERS: dict[Shape, Callable[[dict[str, Any]], Proven | None]] = {
    "messages": _chat,
    "prompt_completion": _prompt_completion,
    "text_label": _text_label,
    "text": _text,
}
