"""The texts of a record that is to be learnt from, and one number for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import xxhash

from afinador.data.shapes import Example


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
    """Return all that tells a record from another one; records with equal parts teach the same."""
    if example.messages is None:
        return [text for text in (example.prompt, example.completion, example.text) if text is not None]
    parts: list[str] = []
    for message in example.messages:
        parts += (message["role"], message["content"])
        others = {name: value for name, value in message.items() if name not in ("role", "content")}
        if others:
            parts.append(_written(others))
    if example.tools:
        parts.append(_written(list(example.tools)))
    return parts


def digest_of_written(written: bytes) -> int:
    """Return what ``digest_of`` does, of what ``orjson`` writes of the parts."""
    return xxhash.xxh3_64_intdigest(written)


def digest_of(parts: list[str]) -> int:
    """Return 64 bits that are, but for a chance of one in billions, equal for equal parts alone.

    They are the same in every process and version, for they are kept with verdicts.
    """
    return xxhash.xxh3_64_intdigest(_as_bytes(parts))


def _as_bytes(parts: list[str]) -> bytes:
    try:
        return orjson.dumps(parts)
    except orjson.JSONEncodeError:  # half surrogates, which a reader has let through
        return repr(parts).encode("utf-8", errors="surrogatepass")


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # integers of more than 64 bits
        return repr(value)
