"""The whole report on a data set: what reading it has found, and what a tokenizer makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from afinador.data.labels import HASH_CHARACTERS, LABEL_CHARACTERS
from afinador.data.quoting import masked
from afinador.data.records import Problem
from afinador.data.task_fit import NO_PROMPT
from afinador.data.tokens.process import TokenProcess
from afinador.figures import counted
from afinador.schemas.dataset_reports import DatasetReport

UNUSABLE_TOKENIZER = "unusable_tokenizer"
NOT_TOKENISED = "not_tokenised"
SAMPLE_RECORDS = 20_000
SAMPLE_BYTES = 16_000_000
"""Of a file with more than these, the tokenizer looks at every so-many-th record only, and the report says so."""


def every_of(report: Mapping[str, Any]) -> int:
    """Return n, where the tokenizer looks at every n-th record of a file: 1 unless it is very large."""
    by_records = -(-int(report["records"]) // SAMPLE_RECORDS)
    by_bytes = -(-int(report["bytes"]) // SAMPLE_BYTES)
    return max(1, by_records, by_bytes)


def reading_of(
    path: Path,
    report: Mapping[str, Any],
    declared: Mapping[str, Any] | None = None,
    extraction: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return how the process that knows tokenizers is to read a file.

    Args:
        path: The file.
        report: Its verdict.
        declared: As ``DatasetReading.to_json`` gives it.
        extraction: How a job asks for documents: the fields of ``afinador.data.extraction.Extraction``.
    """
    return {
        "path": str(path),
        "format": report["format"],
        "shape": report["shape"],
        "declared": dict(declared or {}),
        "extraction": dict(extraction or {}),
    }


def with_tokens(
    report: Mapping[str, Any],
    path: Path,
    process: TokenProcess,
    tokenizer: Path,
    limits: Mapping[str, Any],
    *,
    base_model: str,
    declared: Mapping[str, Any] | None = None,
    extraction: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return a report (``afinador.data.validation.Report.to_json``) with what a tokenizer makes of the usable records.

    Figures are under ``tokens``; faults stand beside the others. A file without a usable record is left as it is, and
    so is one without labels where the task needs them, or with documents that no prompt asks for (see
    ``afinador.data.task_fit``). ``progress`` is told, now and then, how many records of how many were looked at.

    Raises:
        ModelError: The tokenizer cannot be used.
        ServiceUnavailableError: It has too much to do, or took too long.
    """
    needs_labels = limits["task"] == "sequence_classification"
    is_asked_for = all(error["code"] != NO_PROMPT for error in report["errors"])
    if not is_asked_for or report["shape"] is None or (needs_labels and report["shape"] != "text_label"):
        return {**report, "tokens": None}
    reading = reading_of(path, report, declared, extraction)
    every = every_of(report)
    total = -(-int(report["records"]) // every)
    tell = None if progress is None else lambda done: progress(done, total)
    checked = process.check(tokenizer, reading, limits, every=every, progress=tell)
    return merged(report, checked, base_model)


def with_unusable_tokenizer(report: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Return a report with what keeps a tokenizer from looking at the records, as an error beside the others."""
    error = Problem(UNUSABLE_TOKENIZER, why)
    return {
        **report,
        "errors": [*report["errors"], error.to_json()],
        "counts": {**report["counts"], error.code: 1},
        "summary": report["summary"] if report["errors"] else why,
        "tokens": None,
    }


def merged(report: Mapping[str, Any], checked: Mapping[str, Any], base_model: str) -> dict[str, Any]:
    """Put what the tokenizer found beside what reading found."""
    errors, warnings = [*report["errors"], *checked["errors"]], [*report["warnings"], *checked["warnings"]]
    counts = {**report["counts"], **checked["counts"]}
    tokens = {"base_model": base_model, **checked["tokens"]}
    unusable = report.get("unusable_records")  # which verdicts of older versions lack
    # The tokenizer has looked at usable records alone, and says one thing of each that it cannot read.
    if unusable is not None:
        unusable += checked["counts"].get(NOT_TOKENISED, 0)
    notes = [*report["notes"], *_notes_on(tokens, report["records"])]
    return {
        **report,
        "unusable_records": unusable,
        "notes": notes,
        "errors": errors,
        "warnings": warnings,
        "counts": counts,
        "summary": _summary(report, checked, unusable),
        "tokens": tokens,
    }


def _summary(report: Mapping[str, Any], checked: Mapping[str, Any], unusable: int | None) -> str:
    """Say what both have found, and of how many records; ``unusable`` are those that either refuses."""
    said, records = str(report["summary"]), counted(report["records"], "record")
    unread = checked["counts"].get(NOT_TOKENISED, 0)
    if not unread:
        if report["errors"]:
            return said
        if checked["errors"]:
            return str(checked["errors"][0]["message"])
        firsts = {problem["code"]: problem["message"] for problem in reversed(checked["warnings"])}
        return " ".join([said, *reversed(firsts.values())])
    first = next(str(error["message"]) for error in checked["errors"] if error["code"] == NOT_TOKENISED)
    if not report["errors"]:
        return f"{unusable or unread:,} of {records} cannot be used: {first}"
    more = f" And {unread - 1:,} more like it." if unread > 1 else ""
    before = f"{report.get('unusable_records') or 0:,} of {records} cannot be used: "
    if said.startswith(before):
        return f"{unusable:,} of {records} cannot be used: {said.removeprefix(before)} {first}{more}"
    return f"{said} {unread:,} of {records} cannot be used: {first}{more}"


def _notes_on(tokens: Mapping[str, Any], records: int) -> list[dict[str, Any]]:
    if tokens["every"] == 1:
        return []
    said = (
        f"Token lengths, and faults that only a tokenizer shows, are those of {tokens['records']:,} of {records:,} records: "
        f"one in {tokens['every']:,}, always the same ones. A job looks at all of them."
    )
    return [Problem("tokens_in_part", said).to_json()]


def dataset_report(name: str, found: Mapping[str, Any]) -> DatasetReport:
    """Return a verdict as it is answered.

    Args:
        name: Of the file.
        found: As ``afinador.data.validation.Report.to_json`` gives it; what only serves to compare files is left out,
            and labels and types that look like personal data or a secret are masked.
    """
    told = {key: value for key, value in found.items() if key != "fingerprints"}
    types = found.get("types") or {}
    told["types"] = _masked_counts(types) if any(types) else None
    if told.get("labels"):
        told["labels"] = {**told["labels"], "counts": _masked_counts(told["labels"]["counts"])}
    return DatasetReport(file=name, valid=not found["errors"], **told)


def _masked_label(label: str) -> str:
    # What is no name but a long text was cut, perhaps within what must not be told; its hash is at its end.
    return masked(label) if len(label) <= LABEL_CHARACTERS else f"{masked(label)[:100]}… {label[-HASH_CHARACTERS:]}"


def _masked_counts(counts: Mapping[str, int]) -> dict[str, int]:
    told: Counter[str] = Counter()
    for label, count in counts.items():
        told[_masked_label(label)] += count
    return dict(told)
