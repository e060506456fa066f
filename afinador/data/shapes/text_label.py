"""``{"text", "label"}``: a text and the class that it belongs to, or a short answer to it.

A label may be a number or true/false, which is learnt as the text that JSON writes. With the task
``sequence_classification`` the labels are classes; with ``causal_lm`` the label is an answer as any other.
"""

from __future__ import annotations

from math import isfinite, isnan
from typing import Any

from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, content_of, one_turn, unusable_texts


def label_text(label: Any) -> str:
    """Return a label as the text that is learnt: true and false as JSON writes them, other values as they are."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "text")
    label = record.fields["label"]
    if not isinstance(label, bool | int | float):
        yield from unusable_texts(record, "label")
    elif isinstance(label, float) and not isfinite(label):
        said = f"'label' is {'NaN, which is no number' if isnan(label) else 'infinite: the number is larger than any that is read'}"
        yield record.problem("wrong_type", f"{said}. Write it as text, or remove the record.", "label")
    return Example(record.line, prompt=record.fields["text"], completion=label_text(label))


def _from_messages(fields: Fields) -> Fields:
    return {"text": content_of(fields, "user"), "label": content_of(fields, "assistant")}


SHAPE = RecordShape(
    name="text_label",
    fields=("text", "label"),
    description="A text and its label: the label is learnt, given the text.",
    tasks=("causal_lm", "sequence_classification"),
    read=_read,
    in_table=True,
    asked=("text",),
    to_messages=lambda fields: one_turn(fields["text"], label_text(fields["label"])),
    from_messages=_from_messages,
    normal=lambda fields: {**fields, "label": label_text(fields["label"])},
)
