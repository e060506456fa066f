"""Whether a task can learn from a file whose records are right by themselves.

A classifier needs labels to tell apart, and documents need a prompt that asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afinador.data.checks.conclusions import ONE_LABEL
from afinador.data.extraction import Extraction
from afinador.data.labels import LabelledFile, classes_of
from afinador.data.records import Problem
from afinador.errors import DataError
from afinador.schemas.jobs import Task

NO_CLASSES = "no_classes"
NO_PROMPT = "no_prompt"
UNKNOWN_LABEL = "unknown_label"


def fitted(
    found: Sequence[tuple[str, Mapping[str, Any]]], task: Task | None, asked_for: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return verdicts that say what a job of a task would say of the labels, and of documents that no prompt asks for.

    Args:
        found: Name and verdict (``afinador.data.validation.Report.to_json``) of the training file, and of the
            validation file behind it where there is one.
        task: None where nobody told it: labels are then taken for classes where there is only one, for such a file is
            of use to no task but one that writes it.
        asked_for: How documents are asked for: the fields of ``afinador.data.extraction.Extraction``.
    """
    extraction = Extraction(**(asked_for or {}))
    return [_with_prompts(report, extraction) for report in _with_classes(found, task)]


def _with_prompts(report: dict[str, Any], extraction: Extraction) -> dict[str, Any]:
    count, said = extraction.lacking(report.get("types"))
    if not count:
        return report
    said = f"{count} of the documents cannot be asked for: {said}"
    fault = Problem(NO_PROMPT, said, field="type").to_json()
    summary = report["summary"] if report["errors"] else said
    counts = {**report["counts"], NO_PROMPT: 1}
    return {**report, "errors": [*report["errors"], fault], "counts": counts, "summary": summary}


def _with_classes(found: Sequence[tuple[str, Mapping[str, Any]]], task: Task | None) -> list[dict[str, Any]]:
    reports = [dict(report) for _, report in found]
    if task not in (None, "sequence_classification") or not _shows_labels(reports[0]):
        return reports
    doubt = next((fault["message"] for fault in reports[0]["warnings"] if fault["code"] == ONE_LABEL), None)
    if task is None:
        if doubt is not None:
            remedy = "A causal model may learn to write this one (task causal_lm)."
            reports[0] = _refused(reports[0], ONE_LABEL, f"{doubt} {remedy}")
        return reports
    files = [LabelledFile.from_report(name, report) for name, report in found if _shows_labels(report)]
    if not all(file.can_be_judged for file in files):
        return reports
    try:
        classes_of(*files)
    except DataError as error:
        at_fault = 1 if error.param == "validation_file" else 0
        # Each unknown label is an error of its own where the files themselves were compared.
        if all(fault["code"] != UNKNOWN_LABEL for fault in reports[at_fault]["errors"]):
            code = ONE_LABEL if doubt and at_fault == 0 else NO_CLASSES
            reports[at_fault] = _refused(reports[at_fault], code, error.message)
    return reports


def _shows_labels(report: Mapping[str, Any]) -> bool:
    """Tell whether a verdict says enough of the labels: it has no faults, or the labels of most records could be read."""
    if not report["errors"]:
        return True
    labels = report.get("labels") or {"records": 0}
    return bool(2 * labels["records"] >= report["records"])


def _refused(report: Mapping[str, Any], code: str, said: str) -> dict[str, Any]:
    """Return a verdict with one more error, which takes the place of a warning of the same code."""
    return {
        **report,
        "errors": [*report["errors"], Problem(code, said, field="label").to_json()],
        "warnings": [fault for fault in report["warnings"] if fault["code"] != code],
        "counts": {**report["counts"], code: 1},
        "summary": f"{report['summary']} {said}" if report["errors"] else said,
    }
