"""``{"instruction", "input", "output"}``: what is to be done, perhaps with what, and what comes out.

The prompt is the instruction; an input follows it after a blank line. ``input`` may be empty or absent.
"""

from __future__ import annotations

from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, content_of, one_turn, unusable_texts


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "instruction", "output")
    if record.fields.get("input") is not None:
        yield from unusable_texts(record, "input", may_be_empty=True)
    return Example(record.line, prompt=_prompt(record.fields), completion=record.fields["output"])


def _prompt(fields: Fields) -> str:
    given = str(fields.get("input") or "")
    return f"{fields['instruction']}\n\n{given}" if given.strip() else str(fields["instruction"])


def _to_messages(fields: Fields) -> Fields:
    if (fields.get("input") or "").strip():
        raise ValueError(
            "an 'input' that is not empty beside its 'instruction', from which it could not be told any more"
        )
    return one_turn(_prompt(fields), fields["output"])


def _from_messages(fields: Fields) -> Fields:
    return {"instruction": content_of(fields, "user"), "input": "", "output": content_of(fields, "assistant")}


SHAPE = RecordShape(
    name="alpaca",
    fields=("instruction", "output"),
    optional=("input",),
    description="An instruction, perhaps with an input, and the output, which is learnt.",
    read=_read,
    in_table=True,
    asked=("instruction", "input"),
    to_messages=_to_messages,
    from_messages=_from_messages,
    normal=lambda fields: {**fields, "input": fields.get("input") or ""},
)
