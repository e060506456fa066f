"""``tokenize``: makes rows of token ids of records, with the labels that training has; see ``afinador.data.tokens.rows``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afinador.data.preparation.batches import batches
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings
from afinador.data.quoting import some_of
from afinador.data.records import Problem, Record
from afinador.data.shapes import Example, fields_allowed, near_miss, shape_of, to_example
from afinador.errors import DataError, InvalidRequestError

TASKS = ("causal_lm", "sequence_classification")
LONGEST = 1_048_576


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    task = settings.choice("task", TASKS) if settings.has("task") else None
    max_length = settings.whole("max_length", 1, LONGEST, 2048)
    tokenise = means.tokenise
    if tokenise is None:
        raise InvalidRequestError(
            f"{settings.place}: no base model is named whose tokens they shall be. Name it as base_model "
            "(--base-model), or leave the step out: jobs tokenise by themselves.",
            param="base_model",
        )

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        tally.counts = {"tokens": 0, "cut": 0}
        for batch in batches(rows):
            examples = [_example(row.record, task) for row in batch]
            for row, made in zip(batch, tokenise(examples, task, max_length), strict=True):
                for piece in made:
                    tally.changed += 1
                    tally.counts["tokens"] += len(piece["input_ids"])
                    tally.counts["cut"] += piece["cut"] > 0
                    yield with_fields(row, _columns(piece))

    return work


def _example(record: Record, task: str | None) -> Example:
    shape = shape_of(record.fields)
    if shape is None or (task == "sequence_classification" and shape != "text_label"):
        wanted = fields_allowed("jsonl") if shape is None else "'text' and 'label', which is what a classifier learns"
        found = f"the fields {some_of(record.fields)}" if record.fields else "no fields"
        raise DataError(
            f"{record.place} has {found}; tokens are made of {wanted}."
            f"{near_miss(record.fields)} Rename the fields, or convert the records first."
        )
    example = to_example(record, shape)
    if isinstance(example, Problem):
        raise DataError(example.message, problems=[example.message])
    return example


def _columns(piece: dict[str, Any]) -> dict[str, Any]:
    """Return the columns as ``transformers`` names them; ``length`` is what it groups by."""
    ids = piece["input_ids"]
    learnt: dict[str, Any] = {name: value for name, value in piece.items() if name in ("labels", "label")}
    return {"input_ids": ids, "attention_mask": [1] * len(ids), **learnt, "length": len(ids)}


KIND = StepKind(
    name="tokenize",
    description="Makes rows of tokens, cut and masked as training does it, to be trained on elsewhere: "
    "`input_ids`, `attention_mask`, `labels` (-100 where nothing is learnt; of a classifier `label`) and `length`; all other "
    "fields go. Needs a base model. Jobs take the records before this step: they tokenise by themselves, and keep the tokens.",
    keys={
        "max_length": f"most tokens of a row, 1 to {LONGEST:,}, as far as the base model looks; 2048 if omitted. "
        "Of a prompt its start is cut, of a document its end, of a conversation its first turns; the last answer only where nothing is left before it. A text becomes several rows",
        "task": "`causal_lm` or `sequence_classification`; the base model's own if omitted",
    },
    make=_make,
)
