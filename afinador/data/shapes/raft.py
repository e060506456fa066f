"""``{"question", "oracle", "distractors", "answer"}``: a question, the document that answers it, and others that do not.

The prompt holds all documents and then the question; the place of the oracle among them is drawn by a seed that the
record's own texts give, so that it is the same in every run. An ``oracle`` that is null, empty or
not there, as tables have it that know no null, is left out: the answer is then learnt by heart.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.quoting import described
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import RecordShape, first_unusable, near_miss_of, unusable_text


def _read(record: Record) -> Example | Problem:
    problem = first_unusable(record, ("question", "answer"))
    oracle, distractors = record.fields.get("oracle"), record.fields["distractors"]
    if "oracle" not in record.fields and (meant := near_miss_of(record.fields, ["oracle"])):
        said = f"{record.place} has no 'oracle'.{meant} Rename it, or write null where there is none."
        return Problem("missing_field", said, record.line, "oracle")
    if problem is None and oracle is not None:
        problem = unusable_text(record, "oracle", may_be_empty=True)
    problem = problem or _unusable_distractors(record, distractors)
    if problem is not None:
        return problem
    documents = documents_of(record.fields["question"], oracle or "", distractors)
    if not documents:
        said = (
            f"{record.place} has neither an 'oracle' nor 'distractors'. Add a document, or use prompt and completion."
        )
        return Problem("no_documents", said, record.line, "oracle")
    listed = "\n\n".join(f"Document {number}:\n{text}" for number, text in enumerate(documents, start=1))
    prompt = f"{listed}\n\nQuestion: {record.fields['question']}"
    return Example(record.line, prompt=prompt, completion=record.fields["answer"])


def documents_of(question: str, oracle: str, distractors: list[str]) -> list[str]:
    """Return oracle and distractors in the order in which the prompt holds them."""
    documents = [*([oracle] if oracle.strip() else []), *distractors]
    seed = sha256("\x00".join([question, *documents]).encode("utf-8", errors="surrogatepass")).hexdigest()
    Random(seed).shuffle(documents)
    return documents


def _unusable_distractors(record: Record, distractors: Any) -> Problem | None:
    if not isinstance(distractors, list):
        said = f"{record.place}: 'distractors' is {described(distractors)}, but must be a list of texts. Write a list, also of one."
        return Problem("wrong_type", said, record.line, "distractors")
    oracle = (record.fields.get("oracle") or "").split()
    for index, text in enumerate(distractors):
        field = f"distractors[{index}]"
        if not isinstance(text, str):
            said = f"{record.place}: {field!r} is {described(text)}, but must be a text. Correct it, or remove it."
            return Problem("wrong_type", said, record.line, field)
        if is_blank(text):
            return Problem("empty_field", f"{record.place}: {field!r} is empty. Remove it.", record.line, field)
        if text.split() == oracle:
            said = f"{record.place}: {field!r} is the oracle, but perhaps for blanks. Remove it."
            return Problem("oracle_is_distractor", said, record.line, field)
    return None


SHAPE = RecordShape(
    name="raft",
    fields=("question", "distractors", "answer"),
    optional=("oracle",),
    description="A question, the document that answers it, some that do not, and the answer, which is learnt (RAFT).",
    read=_read,
    asked=("question",),
)
