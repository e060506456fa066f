"""``{"prompt", "chosen", "rejected"}``: two answers to a prompt, the better and the worse one.

Pairs are checked and stored. Training on them comes later, and a job that names such a file is refused.
"""

from __future__ import annotations

from afinador.data.blanks import is_blank
from afinador.data.records import Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Reading, RecordShape, unusable_texts


def _read(record: Record) -> Reading:
    yield from unusable_texts(record, "prompt", "chosen", "rejected")
    chosen, rejected = record.fields["chosen"], record.fields["rejected"]
    are_texts = isinstance(chosen, str) and isinstance(rejected, str) and not is_blank(chosen)
    if are_texts and chosen.strip() == rejected.strip():
        said = "'chosen' and 'rejected' are the same. Correct one of them, or remove the record."
        yield record.problem("same_answers", said, "rejected")
    return Example(record.line, prompt=record.fields["prompt"], completion=chosen)


SHAPE = RecordShape(
    name="preference",
    fields=("prompt", "chosen", "rejected"),
    description="A prompt with a better and a worse answer: checked and stored, not trained on yet.",
    tasks=(),
    read=_read,
    in_table=True,
    asked=("prompt",),
)
