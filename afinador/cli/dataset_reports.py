"""The verdict on a data set for a terminal: faults, doubts and notes, those of one kind together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from afinador.cli import render
from afinador.cli.dataset_text import counts_text, tokens_text
from afinador.figures import counted, span, visible
from afinador.schemas.dataset_formats import fitness

if TYPE_CHECKING:
    from afinador.schemas.dataset_reports import DatasetReport, Fault

_COLOURS = {"errors": "red", "warnings": "yellow", "notes": "cyan"}


def show_report(report: DatasetReport, title: str = "") -> None:
    """Write a report to standard output, with that on the held-out file below it."""
    _show_verdict(visible(f"{title}{report.file}"), report)
    if report.tokens:
        render.result(tokens_text(report.tokens))
    for name, counts in (("label", (report.labels or {}).get("counts")), ("type", report.types)):
        if counts:
            render.result(counts_text(name, counts))
    if report.validation is not None:
        render.result("")
        show_report(report.validation, "Held out: ")


def _show_verdict(name: str, report: DatasetReport) -> None:
    """Write what is wrong to standard output, coloured by severity where that is a terminal."""
    said = fitness(report.errors, [note.code for note in report.notes])
    if report.errors:
        _write(f"{name} {said}: {_found(report)}.", _COLOURS["errors"])
    else:
        _write(f"{name} {said}: {_measures(report)}", "green")
    for severity, colour in _COLOURS.items():
        for code, faults in _by_code(getattr(report, severity)).items():
            count = report.counts.get(code, len(faults))
            times = f" ×{count:,}" if count > 1 else ""
            _write(f"  {severity.removesuffix('s')} {code}{times}", colour)
            for line in _lines(faults, count):
                render.result(f"    {line}")


def _found(report: DatasetReport) -> str:
    found = {severity: counted(number, severity) for severity, number in report.found().items() if number}
    if report.unusable_records and report.unusable_records != report.found()["error"]:
        found["error"] += f" in {counted(report.unusable_records, 'record')}"
    return ", ".join(found.values())


def _measures(report: DatasetReport) -> str:
    lengths = report.lengths or {}
    said = f"{counted(report.records, 'record')} of the shape {report.shape}"
    if lengths:
        characters = "character" if lengths["maximum"] == 1 else "characters"
        said += f", of {span(lengths['minimum'], lengths['maximum'])} {characters} (median {lengths['median']:,})"
    found = _found(report)
    return f"{said}; {found}." if found else f"{said}."


def _by_code(faults: list[Fault]) -> dict[str, list[Fault]]:
    grouped: dict[str, list[Fault]] = {}
    for fault in faults:
        grouped.setdefault(fault.code, []).append(fault)
    return grouped


def _lines(faults: list[Fault], count: int) -> Iterator[str]:
    for fault in faults:
        yield visible(fault.message)
    if count > len(faults):
        yield f"And {count - len(faults):,} more like these."


def _write(line: str, colour: str) -> None:
    if not sys.stdout.isatty():
        render.result(line)
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(line, style=colour), soft_wrap=True)
