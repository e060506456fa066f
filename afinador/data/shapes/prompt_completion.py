"""``{"prompt", "completion"}``: a question and its answer. The prompt may be empty."""

from __future__ import annotations

from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, content_of, one_turn, unusable_texts


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "prompt", may_be_empty=True)
    yield from unusable_texts(record, "completion")
    return Example(record.line, prompt=record.fields["prompt"], completion=record.fields["completion"])


def _from_messages(fields: Fields) -> Fields:
    return {"prompt": content_of(fields, "user"), "completion": content_of(fields, "assistant")}


SHAPE = RecordShape(
    name="prompt_completion",
    fields=("prompt", "completion"),
    description="A prompt and its completion: the completion is learnt, given the prompt.",
    read=_read,
    in_table=True,
    asked=("prompt",),
    to_messages=lambda fields: one_turn(fields["prompt"], fields["completion"]),
    from_messages=_from_messages,
)
