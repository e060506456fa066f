"""``{"question", "oracle", "distractors", "answer"}``: a question, the document that answers it, and others that do not.

The prompt holds all documents and then the question; the place of the oracle among them is drawn by a seed that the
record's own texts give, so that it is the same in every run. An ``oracle`` that is null, empty or
not there, as tables have it that know no null, is left out: the answer is then learnt by heart.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

from afinador.data.blanks import is_blank
from afinador.data.quoting import described
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Reading, RecordShape, near_miss_of, unusable_texts


def _read(record: Record) -> Reading:
    is_usable = True
    for problem in _unusable(record):
        is_usable = False
        yield problem
    if not is_usable:
        return None
    fields = record.fields
    documents = documents_of(fields["question"], fields.get("oracle") or "", fields["distractors"])
    if not documents:
        said = (
            f"{record.place} has neither an 'oracle' nor 'distractors'. Add a document, or use prompt and completion."
        )
        yield Problem("no_documents", said, record.line, "oracle")
    listed = "\n\n".join(f"Document {number}:\n{text}" for number, text in enumerate(documents, start=1))
    return Example(record.line, prompt=f"{listed}\n\nQuestion: {fields['question']}", completion=fields["answer"])


def documents_of(question: str, oracle: str, distractors: list[str]) -> list[str]:
    """Return oracle and distractors in the order in which the prompt holds them."""
    documents = [*([oracle] if oracle.strip() else []), *distractors]
    seed = sha256("\x00".join([question, *documents]).encode("utf-8", errors="surrogatepass")).hexdigest()
    Random(seed).shuffle(documents)
    return documents


def _unusable(record: Record) -> Iterator[Problem]:
    yield from unusable_texts(record, "question", "answer")
    oracle = record.fields.get("oracle")
    if "oracle" not in record.fields and (meant := near_miss_of(record.fields, ["oracle"])):
        said = f"{record.place} has no 'oracle'.{meant} Rename it, or write null where there is none."
        yield Problem("missing_field", said, record.line, "oracle")
    if oracle is not None:
        yield from unusable_texts(record, "oracle", may_be_empty=True)
    yield from _unusable_distractors(record, oracle if isinstance(oracle, str) else "")


def _unusable_distractors(record: Record, oracle: str) -> Iterator[Problem]:
    distractors = record.fields["distractors"]
    if not isinstance(distractors, list):
        said = f"'distractors' is {described(distractors)}, but must be a list of texts. Write a list, also of one."
        yield record.problem("wrong_type", said, "distractors")
        return
    words = oracle.split()
    for index, text in enumerate(distractors):
        field = f"distractors[{index}]"
        if not isinstance(text, str):
            said = f"{field!r} is {described(text)}, but must be a text. Correct it, or remove it."
            yield record.problem("wrong_type", said, field)
        elif is_blank(text):
            yield record.problem("empty_field", f"{field!r} is empty. Remove it.", field)
        elif text.split() == words:
            yield record.problem(
                "oracle_is_distractor", f"{field!r} is the oracle, but perhaps for blanks. Remove it.", field
            )


SHAPE = RecordShape(
    name="raft",
    fields=("question", "distractors", "answer"),
    optional=("oracle",),
    description="A question, the document that answers it, some that do not, and the answer, which is learnt (RAFT).",
    read=_read,
    asked=("question",),
)
