"""Numbers, sizes, times and foreign texts as people read them."""

from __future__ import annotations

import re
from typing import Any

NONE = "-"
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Control characters but tab and line feed, those that set the direction of writing, and half surrogate pairs."""


def text(value: Any) -> str:
    """Return one value for people."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e-3 or abs(value) >= 1e5 else f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or NONE
    if isinstance(value, dict):
        return ", ".join(f"{name}={text(entry)}" for name, entry in value.items()) or NONE
    return str(value)


def duration(seconds: float | None) -> str:
    """Return seconds as ``45 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(number_of_bytes: int | None) -> str:
    """Return a number of bytes as ``12 B``, ``3.4 MB`` and so on (powers of 1000)."""
    if number_of_bytes is None:
        return NONE
    amount = float(number_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("GB is the last unit")


def count(number: int | None) -> str:
    """Return a large number as ``2.6M`` or ``7.2B``."""
    if number is None:
        return NONE
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return str(number)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, ``1 record`` or ``1,234 records``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(least: int, most: int) -> str:
    """Return two ends of what numbers lie between, ``7 to 1,234``; one number where they are the same."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def visible(text: str) -> str:
    """Return a text whose control characters are signs: none of them may steer a terminal, or turn a line around."""
    return _INVISIBLE.sub(lambda match: _sign_of(match[0]), text)


def _sign_of(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return f"\u27e8U+{code:04X}\u27e9"
