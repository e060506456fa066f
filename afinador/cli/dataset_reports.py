"""The verdict on a data set for a terminal: faults, doubts and notes, those of one kind together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.dataset_text import tokens_text
from afinador.figures import visible
from afinador.schemas.dataset_formats import fitness

if TYPE_CHECKING:
    from afinador.schemas.dataset_reports import DatasetReport

_COLOURS = {"errors": "red", "warnings": "yellow", "notes": "cyan"}


def show_report(report: DatasetReport, title: str = "") -> None:
    """Write a report to standard output, with that on the held-out file below it."""
    show(f"{title}{report.file}", report.model_dump(mode="json"))
    if report.tokens:
        render.result(tokens_text(report.tokens))
    if report.validation is not None:
        render.result("")
        show_report(report.validation, "Held out: ")


def show(name: str, report: dict[str, Any]) -> None:
    """Write a verdict to standard output, coloured by severity where that is a terminal.

    Args:
        name: The file's.
        report: As ``afinador.data.validation.Report.to_json`` gives it.
    """
    said = fitness(report["errors"], [note["code"] for note in report["notes"]])
    if report["errors"]:
        _write(f"{name} {said}:", _COLOURS["errors"])
    else:
        _write(f"{name} {said}: {_measures(report)}", "green")
    for severity, colour in _COLOURS.items():
        for code, problems in _by_code(report[severity]).items():
            count = report["counts"].get(code, len(problems))
            times = f" ×{count}" if count > 1 else ""
            _write(f"  {severity.removesuffix('s')} {code}{times}", colour)
            for line in _lines(problems, count):
                render.result(f"    {line}")


def _measures(report: dict[str, Any]) -> str:
    lengths = report["lengths"] or {}
    said = f"{report['records']} record{'s' if report['records'] != 1 else ''} of the shape {report['shape']}"
    if not lengths:
        return f"{said}."
    return f"{said}, of {lengths['minimum']} to {lengths['maximum']} characters (median {lengths['median']})."


def _by_code(problems: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for problem in problems:
        grouped.setdefault(problem["code"], []).append(problem)
    return grouped


def _lines(problems: list[dict[str, Any]], count: int) -> Iterator[str]:
    for problem in problems:
        yield visible(problem["message"])
    if count > len(problems):
        yield f"And {count - len(problems)} more like these."


def _write(line: str, colour: str) -> None:
    if not sys.stdout.isatty():
        render.result(line)
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(line, style=colour), soft_wrap=True)
