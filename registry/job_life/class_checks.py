"""Whether the labels of a job's files are classes, by the verdicts on them."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.data.labels import LabelledFile, classes_of
from registry.ledger.tables import File


def require_classes(data_files: Sequence[File]) -> None:
    """Do nothing unless all files have been checked, and their labels are no classes; of all others the run judges itself.

    Args:
        data_files: The training file and perhaps the validation file.

    Raises:
        DataError: There is one class only, or too many for what they are, or the validation file has others.
    """
    if all(file.status == "processed" and file.report for file in data_files):
        found = [LabelledFile.from_report(file.filename, file.report or {}) for file in data_files]
        if all(file.can_be_judged for file in found):
            classes_of(*found)
