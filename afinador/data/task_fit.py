"""Whether a task can learn from a file whose records are right by themselves: a classifier needs labels to tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afinador.data.checks.conclusions import ONE_LABEL
from afinador.data.labels import LabelledFile, classes_of
from afinador.data.records import Problem
from afinador.errors import DataError
from afinador.schemas.jobs import Task

NO_CLASSES = "no_classes"


def fitted(found: Sequence[tuple[str, Mapping[str, Any]]], task: Task | None) -> list[dict[str, Any]]:
    """Return verdicts that say what a job of a task would say of the labels.

    Args:
        found: Name and verdict (``afinador.data.validation.Report.to_json``) of the training file, and of the
            validation file behind it where there is one.
        task: None where nobody told it: labels are then taken for classes where there is only one, for such a file is
            of use to no task but one that writes it.
    """
    reports = [dict(report) for _, report in found]
    if reports[0]["errors"] or task not in (None, "sequence_classification"):
        return reports
    doubt = next((fault["message"] for fault in reports[0]["warnings"] if fault["code"] == ONE_LABEL), None)
    if task is None:
        if doubt is not None:
            remedy = "Add records with other labels; a causal model may learn to write this one (task causal_lm)."
            reports[0] = _refused(reports[0], ONE_LABEL, f"{doubt} {remedy}")
        return reports
    files = [LabelledFile.from_report(name, report) for name, report in found]
    if not all(file.can_be_judged for file in files):
        return reports
    try:
        classes_of(*files)
    except DataError as error:
        at_fault = 1 if error.param == "validation_file" else 0
        if not reports[at_fault]["errors"]:
            code = ONE_LABEL if doubt and at_fault == 0 else NO_CLASSES
            reports[at_fault] = _refused(reports[at_fault], code, error.message)
    return reports


def _refused(report: Mapping[str, Any], code: str, said: str) -> dict[str, Any]:
    """Return a verdict that was good with an error, which takes the place of a warning of the same code."""
    return {
        **report,
        "errors": [Problem(code, said, field="label").to_json()],
        "warnings": [fault for fault in report["warnings"] if fault["code"] != code],
        "counts": {**report["counts"], code: 1},
        "summary": said,
    }
