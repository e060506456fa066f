"""What a training file makes of the verdict on a validation file: records of both, labels that are never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afinador.data.checks.conclusions import notes_about_two
from afinador.data.checks.findings import Problems, firsts, with_count
from afinador.data.quoting import some_of
from afinador.data.records import Problem
from afinador.data.verdicts import Report
from afinador.figures import counted

if TYPE_CHECKING:
    from afinador.schemas.jobs import Task


def compare_files(
    training: Report, validation: Report, name: str, task: Task | None = None, *, are_of_one: bool = False
) -> None:
    """Add to the verdict on a validation file what the training file makes of it.

    Records that both hold, or nearly, are warnings. Labels that training never sees are an error where the labels of
    the training file are classes that the task has to tell apart, and otherwise nothing, for answers that are written
    may be new.

    Args:
        training: The verdict on the training file.
        validation: The verdict on the validation file.
        name: The name of the training file.
        task: Of the training that is meant; None where nobody told it: labels are then taken for classes.
        are_of_one: Both are parts of one folder, archive or data set: what the one reads is not unread in the other.
    """
    overlap_of(training, validation, name)
    if are_of_one:
        forget_what_the_other_reads(training, validation)
    if (
        task not in (None, "sequence_classification")
        or training.labels is None
        or validation.labels is None
        or not training.labels.are_classes
    ):
        return
    known = training.labels.counts
    remedy = "Remove these records, or add some with this label to the training file"
    remedy += "." if task else "; a causal model may learn to write new ones (task causal_lm)."
    for label, count in validation.labels.counts.items():
        if label not in known:
            said = (
                f"The label {some_of([label])} occurs {counted(count, 'time')} and never in {name}: no "
                f"classifier can answer with it. {remedy}"
            )
            validation.add_error(Problem("unknown_label", said, field="label"))


def forget_what_the_other_reads(training: Report, validation: Report) -> None:
    """Of two parts of one folder, archive or data set, tell only those files as unread that neither reads."""
    training.unread = validation.unread = training.unread.beside(validation.unread)


def overlap_of(training: Report, validation: Report, name: str) -> list[str]:
    """Add to the verdict on a validation file the records that the training file of a name has, too, as warnings.

    Where not all records could be compared, notes say so.

    Returns:
        A sentence for each way in which they do; none if they do not.
    """
    for note in notes_about_two(training.repetitions, validation.repetitions, name):
        validation.add_note(note)
    found = Problems()
    for problem in validation.repetitions.shared_with(training.repetitions, name):
        found.add(problem)
        validation.add_warning(problem)
    return [with_count(problem, found.counts) for problem in firsts(found.kept)]
