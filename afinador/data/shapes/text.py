"""``{"text"}``: running text, learnt whole."""

from __future__ import annotations

from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import RecordShape, unusable_text


def _read(record: Record) -> Example | Problem:
    return unusable_text(record, "text") or Example(record.line, text=record.fields["text"])


SHAPE = RecordShape(
    name="text",
    fields=("text",),
    description="A text, learnt whole.",
    read=_read,
)
