"""``{"prompt", "chosen", "rejected"}``: two answers to a prompt, the better and the worse one.

Pairs are checked and stored. Training on them comes later, and a job that names such a file is refused.
"""

from __future__ import annotations

from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import RecordShape, first_unusable


def _read(record: Record) -> Example | Problem:
    problem = first_unusable(record, ("prompt", "chosen", "rejected"))
    if problem is not None:
        return problem
    fields = record.fields
    if fields["chosen"].strip() == fields["rejected"].strip():
        said = f"{record.place}: 'chosen' and 'rejected' are the same. Correct one of them, or remove the record."
        return Problem("same_answers", said, record.line, "rejected")
    return Example(record.line, prompt=fields["prompt"], completion=fields["chosen"])


SHAPE = RecordShape(
    name="preference",
    fields=("prompt", "chosen", "rejected"),
    description="A prompt with a better and a worse answer: checked and stored, not trained on yet.",
    tasks=(),
    read=_read,
    in_table=True,
    asked=("prompt",),
)
