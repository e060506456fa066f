"""Pieces of Markdown that the references are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Lines = Iterator[str]


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Lines:
    """Yield a Markdown table; nothing without rows."""
    if rows:
        yield f"| {' | '.join(header)} |"
        yield f"|{'---|' * len(header)}"
        yield from (f"| {' | '.join(cell(value) for value in row)} |" for row in rows)
        yield ""


def cell(value: object) -> str:
    """Return a value on one line, with nothing in it that ends a cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def code(value: object) -> str:
    """Return a value as code; nothing for nothing."""
    return "" if value is None or value == "" else f"`{value}`"
