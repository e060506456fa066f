"""``rename``: gives fields other names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import require_field
from afinador.errors import DataError


def make(settings: Settings, keys: Iterable[str]) -> Work:
    """Read the settings; ``transform`` knows the same operation by other keys beside."""
    settings.allow(keys)
    names = settings.names("fields", "{'question': 'prompt'}")

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        for row in rows:
            fields = row.record.fields
            for old in names:
                require_field(row.record, old)
            renamed = {names.get(name, name): value for name, value in fields.items()}
            if len(renamed) != len(fields):
                raise DataError(
                    f"{row.record.place} would have two fields of one name after {names!r}. Choose other names."
                )
            tally.changed += 1
            yield with_fields(row, renamed)

    return work


def _make(settings: Settings, means: Means) -> Work:
    return make(settings, KIND.keys)


KIND = StepKind(
    name="rename",
    description="Gives fields other names.",
    keys={"fields": "old and new names: `{question: prompt, answer: completion}`"},
    make=_make,
    is_by_row=True,
    is_heavy=False,
)
