"""``{"text"}``: running text, learnt whole."""

from __future__ import annotations

from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Reading, RecordShape, unusable_texts


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "text")
    return Example(record.line, text=record.fields["text"])


SHAPE = RecordShape(
    name="text",
    fields=("text",),
    description="A text, learnt whole.",
    read=_read,
)
