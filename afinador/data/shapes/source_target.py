"""``{"source", "target"}``: what a translation or summary is made of, and what it is."""

from __future__ import annotations

from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, content_of, one_turn, unusable_texts


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "source", "target")
    return Example(record.line, prompt=record.fields["source"], completion=record.fields["target"])


def _from_messages(fields: Fields) -> Fields:
    return {"source": content_of(fields, "user"), "target": content_of(fields, "assistant")}


SHAPE = RecordShape(
    name="source_target",
    fields=("source", "target"),
    description="A source and what it becomes, such as a translation: the target is learnt, given the source.",
    read=_read,
    in_table=True,
    asked=("source",),
    to_messages=lambda fields: one_turn(fields["source"], fields["target"]),
    from_messages=_from_messages,
)
