"""Rows taken some at a time, by steps that ask another process about them."""

from __future__ import annotations

from collections.abc import Iterator

from afinador.data.preparation.rows import Row
from afinador.data.preparation.texts import texts_of

RECORDS_AT_ONCE = 64
CHARACTERS_AT_ONCE = 500_000


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists, in their order; a long record ends the list that it is in."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(map(len, texts_of(row.record)))
        if len(batch) >= RECORDS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
