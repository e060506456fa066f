"""``deduplicate``: keeps the first of records that are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import value_of
from afinador.data.records import Record


def digest_of(record: Record, field: str | None = None) -> bytes:
    """Return 16 bytes that equal records, or records with an equal field, share; the order of fields does not count.

    Raises:
        DataError: The record has no such field.
    """
    value = record.fields if field is None else value_of(record, field)
    content = json.dumps(value, sort_keys=True, default=str)
    return blake2b(content.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    field = settings.optional_text("field", "the name of a field")

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        seen: set[bytes] = set()
        for row in rows:
            digest = digest_of(row.record, field)
            if digest not in seen:
                seen.add(digest)
                yield row

    return work


KIND = StepKind(
    name="deduplicate",
    description="Keeps the first of records that are the same.",
    keys={"field": "only this field is looked at; the whole record if omitted"},
    make=_make,
)
