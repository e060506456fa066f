"""``raft``: makes records of the shape ``raft`` of questions, answers and the documents that answer them.

The distractors of a question are the documents that look most like an answer to it and are not: BM25 ranks all
documents of the data set, and of another one if it is named, by the question; the oracle is left out. All documents are
held in memory with their index, and may have so many characters only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from afinador.data.preparation.ranking import Ranking
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool
from afinador.data.preparation.texts import value_of
from afinador.data.records import Record
from afinador.errors import DataError, InvalidRequestError
from afinador.figures import counted

QUESTIONS_AT_ONCE = 256
MOST_CHARACTERS = 32_000_000
"""Of all different documents together; their index takes about ten times as many bytes."""
_OWN = ("question", "oracle", "distractors", "answer")


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    names = {key: settings.text(key, "the name of a field", key) for key in ("question", "document", "answer")}
    count = settings.whole("distractors", 1, 50, 3)
    without = settings.number_of("without_oracle", 0, 1, 0.2)
    seed = settings.seed()
    others = settings.optional_text("documents", "the name of another data set")
    other_field = settings.text("documents_field", "the name of a field", "text")
    if others is not None and means.read_documents is None:
        raise InvalidRequestError(
            f"{settings.place}: documents names another data set, which cannot be read here. Leave it out.",
            param=settings.param("documents"),
        )

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        random = Random(seed)
        with Spool() as spool:
            documents = _Documents(settings.place)
            for row in rows:
                documents.add(_text(row.record, names["document"]))
                spool.add(row)
            if others is not None and means.read_documents is not None:
                for each in means.read_documents(others):
                    documents.add(_text(each, other_field))
            if len(documents.texts) <= count:
                raise DataError(
                    f"{settings.place}: of documents there are {len(documents.texts)}, too few for {counted(count, 'distractor')} "
                    "beside the one that answers. Ask for fewer, or name a data set with more of them as 'documents'."
                )
            bare = set(random.sample(range(len(spool)), round(without * len(spool))))
            tally.counts["without_oracle"] = len(bare)
            ranking, waiting = Ranking(list(documents.texts)), iter(spool)
            while batch := list(islice(waiting, QUESTIONS_AT_ONCE)):
                questions = [_text(row.record, names["question"]) for row in batch]
                for row, ranked in zip(batch, ranking.best(questions, count + 2), strict=True):
                    yield _made(row, names, ranked, count, has_oracle=tally.changed not in bare)
                    tally.changed += 1

    return work


class _Documents:
    """All different documents, as far as memory goes."""

    def __init__(self, place: str) -> None:
        self.texts: dict[str, None] = {}
        self._place, self._characters = place, 0

    def add(self, text: str) -> None:
        if text in self.texts:
            return
        self.texts[text] = None
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise DataError(
                f"{self._place}: the documents have more than {MOST_CHARACTERS:,} characters together, which are not "
                "ranked at once. Take a sample of them first, or prepare the data set in parts."
            )


def _made(row: Row, names: dict[str, str], ranked: list[str], count: int, *, has_oracle: bool) -> Row:
    """Make one record; without its oracle it has one distractor more, so that all have as many documents.

    The field is left out then, and not null, which no table holds.
    """
    fields = row.record.fields
    oracle = _text(row.record, names["document"])
    others = [text for text in ranked if text != oracle]
    kept = {name: value for name, value in fields.items() if name not in (*names.values(), *_OWN)}
    made = {
        "question": _text(row.record, names["question"]),
        **({"oracle": oracle} if has_oracle else {}),
        "distractors": others[: count if has_oracle else count + 1],
        "answer": _text(row.record, names["answer"]),
    }
    return with_fields(row, {**kept, **made})


def _text(record: Record, field: str) -> str:
    value = value_of(record, field)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{record.place}: {field!r} holds no text. Filter such records out first.")
    return value


KIND = StepKind(
    name="raft",
    description="Makes records of question, oracle, distractors and answer; the distractors are ranked by BM25. "
    f"All different documents together may have {MOST_CHARACTERS:,} characters.",
    keys={
        "question": "the field of the question; `question` if omitted",
        "document": "the field of the document that answers it; `document` if omitted",
        "answer": "the field of the answer; `answer` if omitted",
        "distractors": "how many, 1 to 50; 3 if omitted",
        "without_oracle": "the share of records without the document that answers, 0 to 1, which have no field `oracle`, to the nearest record; 0.2 if omitted",
        "documents": "another data set, whose documents may be distractors too: in the service a file, by id or name; here a path, from the folder of the data set that is prepared (wherever the pipeline file is, and the command is run), or an absolute one",
        "documents_field": "its field; `text` if omitted",
        "seed": "of the draw of records without oracle; 0 if omitted",
    },
    make=_make,
)
