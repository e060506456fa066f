"""What is doubtful or worth knowing about a file as a whole; docs/decisions/0013 has the reasons of the limits."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

from afinador.data.blanks import MISSING
from afinador.data.checks.findings import Findings
from afinador.data.checks.repetitions import Repetitions
from afinador.data.labels import LabelCounts
from afinador.data.quoting import shortened
from afinador.data.records import Problem
from afinador.data.shapes import SHAPES, Shape
from afinador.figures import counted

FEW_RECORDS = 10
SMALL_RECORDS = 100
# Running text of this length is enough to learn from, in however few documents.
FEW_CHARACTERS = 20_000
LONG_LINE_CHARACTERS = 200
"""Lines that were broken to be read are shorter."""
LARGE_BYTES = 10**9
IMBALANCE = 10
LINES_OF_LONG_DOCUMENTS = 1000
NAMES_TOLD = 8
LABELS_TOLD = 5
ONE_LABEL = "one_label"
REMEDY_OF_LINES = "if each line is a record, declare it: --text-unit lines, or reading.text_unit."


def doubts_about_all(shape: Shape | None, found: Findings) -> Iterator[Problem]:
    """Yield the warnings about a file."""
    has_long_documents = found.text_lines >= LINES_OF_LONG_DOCUMENTS * max(found.usable, 1)
    if 0 < found.usable < FEW_RECORDS:
        said = f"Usable records: only {found.usable}; a model learns little from fewer than {FEW_RECORDS}. Add more."
        if _has_lines_like_records(found) and not has_long_documents:
            said += f" Documents are parted by blank lines; {REMEDY_OF_LINES}"
        yield Problem("few_records", said)
    if found.ignored:
        names = ", ".join(shortened(name) for name in list(found.ignored)[:NAMES_TOLD])
        used = ", ".join(map(repr, _used_of(shape, found))) or "none"
        said = f"Fields that are not used: {names}. Used: {used}."
        yield Problem("ignored_fields", said + _remedy_of_ignored(shape, list(found.ignored)))
    if has_long_documents:
        said = f"{counted(found.usable, 'record')} of {counted(found.text_lines, 'line')}: documents are parted by blank lines."
        yield Problem("long_documents", f"{said} {REMEDY_OF_LINES.capitalize()}")
    if shape == "text_label":
        yield from _doubts_about_labels(found.labels, found.label_types)


def _used_of(shape: Shape | None, found: Findings) -> list[str]:
    return [*SHAPES[shape], *(name for name in SHAPES[shape].optional if name in found.optional)] if shape else []


def _has_lines_like_records(found: Findings) -> bool:
    """Tell whether a TEXT file has more lines than documents, and too long ones to be parts of a paragraph."""
    return found.text_lines >= FEW_RECORDS and found.characters >= LONG_LINE_CHARACTERS * found.text_lines


def _remedy_of_ignored(shape: Shape | None, names: list[str]) -> str:
    of_turns = [name for name in names if name.startswith(("messages[].", "conversations[]."))]
    said = ""
    if shape == "text":
        said += " If one of them is the answer to be learnt, name it 'label'."
        if "metadata" in names:
            said += """ If it is the metadata: --mapping '{"document": "text", "metadata": "metadata"}', or reading.mapping."""
    elif len(of_turns) < len(names):
        said += " Name by a mapping what of them is to be learnt (option --mapping, or reading.mapping)."
    if any(name.startswith("messages[].") for name in of_turns):
        said += " Those of messages are given to the chat template, which seldom reads them."
    if of_turns:
        said += ' Write into the text of a turn what is to be learnt of it; an answer that shall not be learnt has "weight": 0.'
    return said


def notes_about_all(found: Findings, file_bytes: int, repetitions: Repetitions) -> Iterator[Problem]:
    """Yield the notes about a file.

    Args:
        found: All that was found in it.
        file_bytes: Its size.
        repetitions: Those of its records.
    """
    is_long_text = found.text_lines > 0 and found.characters >= FEW_CHARACTERS
    if FEW_RECORDS <= found.usable < SMALL_RECORDS and not is_long_text:
        said = (
            f"Usable records: {found.usable}. From fewer than {SMALL_RECORDS} a model learns a style rather than facts."
        )
        yield Problem("small_data_set", said)
    if file_bytes > LARGE_BYTES:
        said = (
            f"The file has {file_bytes / 1e9:.1f} GB. Reading and tokenising it takes minutes before training begins."
        )
        yield Problem("large_file", said)
    usable, searched = found.usable, found.searched
    nearly, comparable = repetitions.compared_nearly, repetitions.usable
    if searched < usable:
        what = "Near duplicates and personal data were" if nearly == found.signed else "Personal data were"
        said = f"{what} looked for in {searched} of {usable} usable records, always the same ones. All other checks saw every record."
        yield Problem("searched_in_part", said)
    if nearly < found.signed:
        said = f"Near duplicates were looked for in {nearly} of {comparable} usable records, the first that are looked at closely: more are not compared with each other."
        yield Problem("compared_in_part", said)
    if repetitions.compared < comparable:
        said = f"Equal records were looked for among the first {repetitions.compared} of {comparable} usable records: more are not compared with each other."
        yield Problem("compared_in_part", said)


def notes_about_two(training: Repetitions, validation: Repetitions, name: str) -> Iterator[Problem]:
    """Yield the notes on how far the records of two files were compared with each other.

    Args:
        training: Those of the training file.
        validation: Those of the validation file.
        name: The name of the training file.
    """
    if (training.has_turns and training.turned < training.usable) or (
        validation.has_turns and validation.turned < validation.usable
    ):
        said = (
            f"Records of one file that are turns of conversations in the other were looked for in {validation.turned} of "
            f"{validation.usable} usable records here, among {training.turned} of {training.usable} of {name}, always the same ones."
        )
        yield Problem("overlap_in_part", said)
    for what, there, here in (
        ("equal", training.compared, validation.compared),
        ("nearly equal", training.compared_nearly, validation.compared_nearly),
    ):
        if there < training.usable or here < validation.usable:
            said = (
                f"Records that are {what} to one of {name} were looked for in {here} of {validation.usable} usable records "
                f"here, among {there} of {training.usable} there: of two files as large as these not all are compared."
            )
            yield Problem("overlap_in_part", said)


def _doubts_about_labels(labels: LabelCounts, types: set[str]) -> Iterator[Problem]:
    counts = labels.counts
    if len(types) > 1 or "float" in types:
        what = "Labels are of several types" if len(types) > 1 else "Labels are fractions"
        yield Problem(
            "label_types",
            f"{what}; each is learnt as the text that it is written as. Write all as texts, if they are names of classes.",
            field="label",
        )
    if len(counts) == 1 and labels.records > 1:
        said = f"All records have the same label ({shortened(min(counts))}): there is nothing to tell apart. Add records with other labels."
        yield Problem(ONE_LABEL, said, field="label")
    missing = [label for label in counts if label in MISSING]
    if 0 < len(missing) < len(counts):  # all of them are words of their own
        records = sum(counts[label] for label in missing)
        said = f"Labels that programs write where a value is missing: {_some_of(missing)}, in {counted(records, 'record')}."
        yield Problem("missing_value", f"{said} Remove these records, unless it is a class.", field="label")
    if not labels.are_classes:
        return
    yield from _alike(counts)
    once = [label for label, count in counts.items() if count == 1]
    if once:
        said = f"Labels that occur only once: {_some_of(once)}. Nothing can be learnt of them and measured too: add records, or join them with other labels."
        yield Problem("rare_label", said, field="label")
    usual = Counter({label: count for label, count in counts.items() if count > 1})
    if len(usual) > 1:
        (most, highest), (least, lowest) = usual.most_common()[0], usual.most_common()[-1]
        if highest >= IMBALANCE * lowest:
            said = (
                f"The label {shortened(most)} occurs {highest} times, {shortened(least)} only {lowest} times: a model learns to "
                "answer with the common ones. Add records of the rare ones, or measure each class by itself (macro F1)."
            )
            yield Problem("imbalanced_labels", said, field="label")


def _alike(counts: Counter[str]) -> Iterator[Problem]:
    written: dict[str, list[str]] = {}
    for label in counts:
        written.setdefault(" ".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    alike = [labels for labels in written.values() if len(labels) > 1]
    if alike:
        shown = "; ".join(_some_of(labels) for labels in alike[:LABELS_TOLD])
        said = f"Labels that differ in capitals, spaces or accents' encoding alone are different classes: {shown}. Write each in one way."
        yield Problem("similar_labels", said, field="label")


def _some_of(labels: list[str]) -> str:
    more = f" and {len(labels) - LABELS_TOLD} more" if len(labels) > LABELS_TOLD else ""
    return ", ".join(map(shortened, labels[:LABELS_TOLD])) + more
