"""The report on a data set as Markdown, for pages of others that show no HTML."""

from __future__ import annotations

import re
from typing import Any

from afinador.figures import counted, size, visible
from afinador.schemas.dataset_formats import fitness
from afinador.schemas.dataset_reports import DatasetReport, Fault

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$])")
_FIGURES = ("min", "mean", "p50", "p90", "p95", "p99", "max")


def dataset_markdown(report: DatasetReport) -> str:
    """Return figures of what is learnt from and of what is held out, side by side, then what is wrong with either."""
    reports = [report, *([report.validation] if report.validation else [])]
    rows = [_figures(each) for each in reports]
    lines = [f"| | {' | '.join(_escaped(each.file) for each in reports)} |", f"|---|{'---|' * len(reports)}"]
    lines += [f"| {name} | {' | '.join(row.get(name, '') for row in rows)} |" for name in rows[0]]
    for each in reports:
        faults = [*each.errors, *each.warnings]
        if faults:
            lines += ["", f"**{_escaped(each.file)}**", ""]
            firsts: dict[str, Fault] = {}
            for fault in faults:
                firsts.setdefault(fault.code, fault)
            lines += [
                f"- `{code}` {each.counts.get(code, 1):,}: {_escaped(fault.message)}" for code, fault in firsts.items()
            ]
    return "\n".join(lines)


def _figures(report: DatasetReport) -> dict[str, str]:
    found = ", ".join(counted(number, severity) for severity, number in report.found().items() if number)
    told = {
        "verdict": fitness(report.errors, [note.code for note in report.notes]),
        "found": found or "nothing",
        "records": f"{report.records:,}",
        **({"cannot be used": f"{report.unusable_records:,}"} if report.unusable_records else {}),
        "size": size(report.bytes),
        "shape": str(report.shape).replace("_", " "),
    }
    tokens: dict[str, Any] = report.tokens or {}
    if not tokens:
        return told
    every, truncated, lengths = tokens.get("every", 1), tokens["truncated"], tokens["lengths"] or {}
    most = counted(tokens["usable_length"], "token")
    return told | {
        "looked at by the tokenizer": "every record" if every == 1 else f"one record in {every:,}",
        "tokens": f"{tokens['tokens']:,}",
        "tokens of a record: " + ", ".join(_FIGURES): ", ".join(str(lengths.get(name, "")) for name in _FIGURES),
        f"cut to {most} at the beginning": f"{truncated['prompts']:,}",
        f"cut to {most} at the end": f"{truncated['ends']:,}",
        "answers that are lost": f"{truncated.get('answers', 0):,}",
    }


def _escaped(text: str) -> str:
    """Return a text of others as Markdown shows it, on one line, with nothing in it that is Markdown."""
    return _MARKS.sub(r"\\\1", " ".join(visible(text).split()))[:500]
