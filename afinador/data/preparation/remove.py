"""``remove``: leaves fields out."""

from __future__ import annotations

from collections.abc import Iterator

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    names = settings.list_of_texts("fields", "a list of names of fields, such as ['id']")

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        for row in rows:
            kept = {name: value for name, value in row.record.fields.items() if name not in names}
            tally.changed += len(kept) != len(row.record.fields)
            yield with_fields(row, kept)

    return work


KIND = StepKind(
    name="remove",
    description="Leaves fields out; a record that has none of them stays.",
    keys={"fields": "their names: `[id, url]`"},
    make=_make,
    is_by_row=True,
    is_heavy=False,
)
