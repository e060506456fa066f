"""What is no error, yet should be told before hours are spent on training."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from afinador.data.records import Problem, Record
from afinador.data.shapes import OPTIONAL_FIELDS, SHAPES, Example, Shape

FEW_RECORDS = 10
# A single text of this length is cut into many pieces and enough to learn from.
FEW_CHARACTERS = 20_000
LONG_RECORD_CHARACTERS = 100_000
# So many records are remembered, which takes about 100 MB; later ones are not compared.
RECORDS_COMPARED = 1_000_000
NAMES_TOLD = 8


class Doubts:
    """Follows the usable records of a file, one after the other.

    Args:
        shape: Theirs.
        finds_repetitions: Whether equal records are worth a word; in running text (headings) they are not.
    """

    def __init__(self, shape: Shape | None, *, finds_repetitions: bool) -> None:
        self._used = set(SHAPES[shape]) | set(OPTIONAL_FIELDS.get(shape, ())) if shape else set()
        self._shape = shape
        self._finds_repetitions = finds_repetitions
        self._lines_seen: dict[int, int] = {}
        self._ignored: dict[str, None] = {}
        self._labels: set[str] = set()
        self._label_types: set[type] = set()
        self._has_fractions = False
        self._records = 0
        self._characters = 0

    def about(self, record: Record, example: Example) -> Iterator[Problem]:
        """Yield what is doubtful about one record."""
        self._records += 1
        self._characters += len(example.text or "")
        if len(self._ignored) <= NAMES_TOLD:
            self._ignored.update(dict.fromkeys(name for name in record.fields if name not in self._used))
        if self._shape == "text_label":
            self._note_label(record)
        content = repr((example.prompt, example.completion, example.messages, example.text))
        yield from self._repetition(record, content)
        if example.prompt is not None and not example.prompt.strip():
            said = f"{record.place}: the prompt is empty; the answer is learnt without a question."
            yield Problem("empty_prompt", said, record.line, "prompt")
        if self._shape != "text" and len(content) > LONG_RECORD_CHARACTERS:
            said = f"{record.place} has {len(content)} characters. What is longer than max_length tokens will be cut."
            yield Problem("long_record", said, record.line)

    def about_all(self) -> Iterator[Problem]:
        """Yield what is doubtful about the file as a whole; call it last."""
        if 0 < self._records < FEW_RECORDS and self._characters < FEW_CHARACTERS:
            said = f"Usable records: only {self._records}; a model learns little from fewer than {FEW_RECORDS}."
            yield Problem("few_records", said)
        if self._ignored:
            names = ", ".join(repr(name[:60]) for name in list(self._ignored)[:NAMES_TOLD])
            used = ", ".join(repr(name) for name in SHAPES[self._shape]) if self._shape else "none"
            said = f"Fields that are not used: {names}. Used: {used}."
            if self._shape == "text":
                said += " If one of them is the answer to be learnt, name it 'label'."
            yield Problem("ignored_fields", said)
        if self._labels and self._records > 1 and len(self._labels) == 1:
            said = f"All records have the same label ({min(self._labels)[:60]!r}): there is nothing to tell apart."
            yield Problem("one_label", said, field="label")
        if len(self._label_types) > 1 or self._has_fractions:
            what = "Labels are fractions" if self._has_fractions else "Labels are of several types"
            yield Problem("label_types", f"{what}; each is learnt as the text that it is written as.", field="label")

    def _note_label(self, record: Record) -> None:
        label = record.fields["label"]
        self._label_types.add(type(label))
        self._has_fractions |= isinstance(label, float)
        if len(self._labels) < 2:
            self._labels.add(str(label))

    def _repetition(self, record: Record, content: str) -> Iterator[Problem]:
        if not self._finds_repetitions or len(self._lines_seen) >= RECORDS_COMPARED:
            return
        digest = blake2b(content.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
        first = self._lines_seen.setdefault(int.from_bytes(digest, "big"), record.line)
        if first != record.line:
            said = (
                f"{record.place} repeats {record.unit.lower()} {first}. Remove one, unless it is meant to count twice."
            )
            yield Problem("duplicate", said, record.line)
