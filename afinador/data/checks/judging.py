"""Takes one record through all checks that need no other record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from afinador.data.blanks import is_blank
from afinador.data.checks.characters import missing_values, strange_characters
from afinador.data.checks.contents import (
    all_texts_of,
    characters_of,
    compared_of,
    learnt_texts_of,
    parts_of,
    texts_of,
    with_name,
)
from afinador.data.checks.findings import UNKNOWN_FIELDS, Findings
from afinador.data.checks.near_duplicates import in_parts
from afinador.data.checks.personal_data import personal_data
from afinador.data.checks.tool_use import doubts_about_tools
from afinador.data.checks.word_runs import has_enough_words
from afinador.data.files.dialects import keeps_quotes
from afinador.data.quoting import some_of
from afinador.data.records import Encoding, Problem, Record
from afinador.data.schema_checks import DOUBTS, SchemaChecks
from afinador.data.shapes import (
    MOST_FAULTS,
    OPTIONAL_FIELDS,
    SHAPES,
    Example,
    Shape,
    examined,
    fields_allowed,
    mapping_for,
    near_miss,
    to_example,
)
from afinador.data.shapes.document_metadata import metadata_and_schema
from afinador.data.wanted_fields import doubt_of, unasked_fields

LONG_RECORD_CHARACTERS = 100_000


@dataclass(frozen=True)
class Judge:
    """The checks of the records of one file.

    Attributes:
        shape: Of its records.
        is_running_text: Records are parts of one; those of few words (headings, rows of stars) are not compared with each other.
        is_declared: A person has said the shape; that a record also has the fields of another one is no fault then.
        is_of_large_file: Whether the import of NumPy is worth its time.
        is_csv: Records are rows of a CSV, whose quotes may be out of their place.
        encoding: The declared one.
        schemas: Holds metadata against their schemas.
    """

    shape: Shape | None
    is_running_text: bool = False
    is_declared: bool = False
    is_of_large_file: bool = False
    is_csv: bool = False
    encoding: Encoding | None = None
    schemas: SchemaChecks = field(default_factory=SchemaChecks, compare=False)

    def judge(self, found: Record | Problem, findings: Findings, *, closely: bool) -> None:
        """Add what there is to say about one record; some of it may wait for ``finish``.

        Args:
            found: What was read.
            findings: Of the part that it lies in.
            closely: Whether to look for personal data and near duplicates, which takes ten times as long as all else.
        """
        if isinstance(found, Problem):
            findings.records += found.stands_for_a_record
            findings.refused += found.stands_for_a_record
            findings.errors.add(found)
            return
        findings.records += 1
        findings.unit = found.unit
        if found.origin is not None:
            findings.origins.append((found.line, found.origin))
        example = self._examined(found)
        if isinstance(example, list):
            self._refuse(found, example, findings, closely)
            if self.shape == "document_metadata" and (document := metadata_and_schema(found)) is not None:
                self.schemas.ask_all(found, document, lambda unfit: _add_unfit(unfit, findings))
            return
        if example.document is None:
            self._take(found, example, findings, closely)
            return

        def take_if_it_fits(unfit: list[Problem]) -> None:
            if any(each.code not in DOUBTS for each in unfit):
                self._refuse(found, unfit, findings, closely)
                return
            _add_unfit(unfit, findings)
            self._take(found, example, findings, closely)

        self.schemas.ask_all(found, example.document, take_if_it_fits)

    def finish(self, findings: Findings) -> None:
        """Wait for what is still to be said about the records of a part."""
        self.schemas.finish()
        findings.sign_all(with_arrays=self.is_of_large_file)

    def _take(self, found: Record, example: Example, findings: Findings, closely: bool) -> None:
        used = used_fields(self.shape)
        if example.messages is not None:
            findings.ignore(_unread_keys(found, self.shape))
        if self.shape is not None and len(found.fields) > len(SHAPES[self.shape].fields):
            findings.optional.update(
                name for name in OPTIONAL_FIELDS.get(self.shape, ()) if found.fields.get(name) is not None
            )
        if len(found.fields) > len(used) or not used.issuperset(found.fields):
            findings.ignore([name for name in found.fields if name not in used])
        if self.shape == "text_label":
            findings.labels.add(example.completion or "")
            findings.label_types.add(type(found.fields["label"]).__name__)
        if example.document is not None:
            findings.add_types({example.document.type or "": 1})
        self._doubt(found, example, findings, closely)

    def example_of(self, record: Record) -> Example | Problem:
        """Return what training takes of a record, or the first reason why it cannot."""
        if self.shape is not None:
            return to_example(record, self.shape, is_declared=self.is_declared)
        return _of_no_shape(record)

    def _examined(self, record: Record) -> Example | list[Problem]:
        """Return what training takes of a record, or all reasons why it cannot."""
        if self.shape is not None:
            return examined(record, self.shape, is_declared=self.is_declared)
        return [_of_no_shape(record)]

    def _doubt(self, record: Record, example: Example, findings: Findings, closely: bool) -> None:
        add: Callable[[Problem], None] = findings.warnings.add
        texts = list(texts_of(record, example, used_fields(self.shape)))
        characters = characters_of(example)
        findings.lengths[characters] += 1
        if example.text is not None:
            findings.characters += characters
            if self.is_running_text:
                findings.text_lines += example.text.count("\n") + 1
        if example.prompt is not None and is_blank(example.prompt):
            said = f"{record.place}: the prompt is empty; the answer is learnt without a question. Write it, or remove the record."
            add(Problem("empty_prompt", said, record.line, "prompt"))
        if self.shape != "text" and characters > LONG_RECORD_CHARACTERS:
            said = f"{record.place} has {characters} characters. What is longer than max_length tokens will be cut. Split it, if all of it is to be learnt."
            add(Problem("long_record", said, record.line))
        learnt = learnt_texts_of(record, self.shape) if self.shape is not None else ()
        for problem in chain(
            islice(missing_values(record, learnt), MOST_FAULTS),
            islice(doubts_about_tools(record, example, self.shape), MOST_FAULTS),
            _unasked_fields(record, example),
        ):
            add(problem)
        self._doubt_texts(record, texts, findings, closely)
        findings.searched += closely
        if not self.is_running_text or example.text is None or has_enough_words(example.text):
            self._remember(record, example, findings, closely)

    def _refuse(self, record: Record, faults: list[Problem], findings: Findings, closely: bool) -> None:
        """Add a record that cannot be used; somebody will put it right, and what is doubtful in its texts would stay."""
        findings.refused += 1
        for fault in faults:
            findings.errors.add(fault)
        names = used_fields(self.shape) if self.shape and set(SHAPES[self.shape]) <= record.fields.keys() else None
        texts = [(place, text) for place, text in all_texts_of(record, names) if not is_blank(text)]
        if texts:
            self._doubt_texts(record, texts, findings, closely)

    def _doubt_texts(self, record: Record, texts: list[tuple[str, str]], findings: Findings, closely: bool) -> None:
        told = chain(
            islice(strange_characters(record, texts, self.encoding), MOST_FAULTS),
            islice(_quotes_in_values(record, texts), MOST_FAULTS) if self.is_csv else (),
            personal_data(record, [(place, with_name(place, text)) for place, text in texts]) if closely else (),
        )
        for problem in told:
            findings.warnings.add(problem)

    def _remember(self, record: Record, example: Example, findings: Findings, closely: bool) -> None:
        parts = parts_of(example)
        findings.remember(record.line, parts)
        if closely:
            findings.sign(self._compared(record, example, parts))
            if example.messages is not None:
                findings.turns.add(record.line, [(each["role"], each["content"]) for each in example.messages])

    def _compared(self, record: Record, example: Example, parts: list[str]) -> list[list[str]]:
        """Return what has to be alike where two records are nearly the same; of what is asked, not how the job puts it."""
        if example.document is not None:
            return in_parts([example.document.text], parts[-1:], [], is_prompt=False)
        if self.shape == "alpaca" and (given := record.fields.get("input")):
            return in_parts([given], parts[-1:], [record.fields["instruction"]], is_prompt=True)
        is_call = bool(example.messages and example.messages[-1].get("tool_calls"))
        return compared_of(parts, is_prompt=self.shape not in ("text_label", "source_target"), is_call=is_call)


def _add_unfit(unfit: list[Problem], findings: Findings) -> None:
    for each in unfit:
        (findings.warnings if each.code in DOUBTS else findings.errors).add(each)


def _of_no_shape(record: Record) -> Problem:
    names = f"the fields {some_of(record.fields)}" if record.fields else "no fields"
    texts = [name for name, value in record.fields.items() if isinstance(value, str)]
    said = f"{record.place} has {names}; allowed are {fields_allowed('jsonl')}.{near_miss(record.fields)}"
    return Problem(UNKNOWN_FIELDS, f"{said} Rename the fields, {mapping_for(texts, 'csv')}", record.line)


def _unasked_fields(record: Record, example: Example) -> Iterator[Problem]:
    document = example.document
    if document is not None and document.schema and (unasked := unasked_fields(document.metadata, document.schema)):
        said = f"{record.place}: {doubt_of(unasked, 'its schema')}"
        yield Problem("unasked_fields", said, record.line, "metadata")


def _quotes_in_values(record: Record, texts: list[tuple[str, str]]) -> Iterator[Problem]:
    for name, text in texts:
        if keeps_quotes(text):
            said = f"{record.place}: {name} begins with a blank and a quote, so that its quotes are text. Remove the blanks before quotes."
            yield Problem("quotes_in_value", said, record.line, name)


def used_fields(shape: Shape | None) -> frozenset[str]:
    """Return the fields that are used of a record of a shape."""
    return _USED.get(shape, frozenset())


def _unread_keys(record: Record, shape: Shape | None) -> list[str]:
    """Return the keys of messages that nothing reads, as ``messages[].train``; those that are empty say nothing."""
    if shape is None:
        return []
    known = SHAPES[shape].turn_keys
    unknown = (
        f"{field}[].{key}"
        for field in SHAPES[shape].fields
        if isinstance(record.fields[field], list)
        for turn in record.fields[field]
        if not known.issuperset(turn)
        for key, value in turn.items()
        if key not in known and value not in (None, "", [], {})
    )
    return list(dict.fromkeys(unknown))


_USED: dict[Shape | None, frozenset[str]] = {
    shape: frozenset(names) | frozenset(OPTIONAL_FIELDS.get(shape, ())) for shape, names in SHAPES.items()
}
