"""``filter``: keeps the records of which a condition is true, see ``afinador.data.preparation.expressions``."""

from __future__ import annotations

from collections.abc import Iterator

from afinador.data.preparation.expressions import parse_condition
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.words import EXAMPLES


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    text = settings.text("condition", f"a condition, such as {EXAMPLES}")
    field = settings.optional_text("field", "the name of a field")
    condition = parse_condition(text, means, field=field, place=settings.place, param=settings.param("condition"))

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        return (row for row in rows if condition(row.record))

    return work


KIND = StepKind(
    name="filter",
    description="Keeps the records of which `condition` is true.",
    keys={
        "condition": "such as `length > 10`, `words >= 3 and label in ('yes', 'no')`, `text matches '[0-9]+'`, `language == 'es'`, `tokens() < 2048`; "
        "`words(completion) > 0` to keep answers that are more than blanks, which `length` counts, too",
        "field": "what `length`, `words`, `tokens` and `language` mean where they name no field; else the whole record",
    },
    make=_make,
    is_by_row=True,
)
