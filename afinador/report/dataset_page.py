"""The report on a data set as one page: is it fit to be trained on, what is wrong, how long it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afinador.figures import size, text, visible
from afinador.report.document import document, tiles
from afinador.report.histograms import histogram
from afinador.report.markup import Content, Markup, code, element, facts, joined, table
from afinador.schemas.dataset_formats import fitness
from afinador.schemas.dataset_reports import DatasetReport, Fault

MOST_LABELS = 60
OPEN_FAULTS = 3
"""So many of each kind stand open; more of them are folded."""
_PERCENTILES = ("min", "mean", "p50", "p90", "p95", "p99", "max")


def dataset_page(report: DatasetReport) -> str:
    """Return the page of a report, with that of the file that is held out below it."""
    parts = [_file(report)]
    if report.validation is not None:
        parts.append(element("h2", "Held out"))
        parts.append(_file(report.validation))
    foot = element("footer", "Written by Afinador. Figures of tokens are those of the code that training uses.")
    return document(f"{report.file}: {_verdict(report)}", *parts, foot)


def _file(report: DatasetReport) -> Markup:
    parts = [
        ("Errors", _faults(report.errors, report.counts)),
        ("Tokens", _tokens(report.tokens) if report.tokens else None),
        ("Warnings", _faults(report.warnings, report.counts)),
        ("Notes", _faults(report.notes, {})),
        ("Characters", _characters(report.lengths)),
        ("Labels", _labels(report.labels, report.records)),
    ]
    body = [element("section", element("h2", title), part) for title, part in parts if part]
    return joined([_header(report), element("main", *body)])


def _verdict(report: DatasetReport) -> str:
    return fitness(report.errors, [note.code for note in report.notes])


def _header(report: DatasetReport) -> Markup:
    badge = element("span", _verdict(report), class_=f"badge {'valid' if report.valid else 'refused'}")
    top = element("div", element("h1", visible(report.file)), badge, class_="top")
    tokens = report.tokens or {}
    truncated = tokens.get("truncated") or {}
    told = [
        ("records", f"{report.records:,}"),
        ("format and shape", _words(report.format, report.shape)),
        ("size", size(report.bytes)),
        ("tokens", f"{tokens['tokens']:,}" if tokens else None),
        (
            "tokens that are learnt",
            f"{tokens['trained_tokens']:,}" if tokens.get("trained_tokens") is not None else None,
        ),
        ("records that are cut", f"{truncated['records']:,}" if tokens else None),
        ("of these, at their end", f"{truncated['ends']:,}" if truncated.get("records") else None),
        ("answers that are lost", f"{truncated['answers']:,}" if truncated.get("answers") else None),
    ]
    note = None if report.valid else element("div", visible(report.summary), class_="note")
    return element("header", top, note, tiles(told))


def _words(*names: str | None) -> str:
    return " · ".join(name.replace("_", " ") for name in names if name)


def _faults(faults: Sequence[Fault], counts: Mapping[str, int]) -> Markup | None:
    codes = list(dict.fromkeys(fault.code for fault in faults))
    groups = []
    for name in codes:
        told = [element("li", visible(fault.message)) for fault in faults if fault.code == name]
        number = counts.get(name, len(told))
        first, rest = told[:OPEN_FAULTS], told[OPEN_FAULTS:]
        told_all = "" if number == len(told) else f" of {number - len(first):,}"
        folded = element(
            "details", element("summary", f"{len(rest)}{told_all} more"), element("ul", *rest, class_="faults")
        )
        groups.append(element("h3", code(name), element("span", f" {number:,}", class_="soft")))
        groups.append(joined([element("ul", *first, class_="faults"), folded if rest else None]))
    return joined(groups) if groups else None


def _tokens(tokens: Mapping[str, Any]) -> Markup:
    limit = tokens["usable_length"]
    charts = [
        _chart("Tokens of each record", tokens.get("lengths"), limit),
        _chart("Tokens that are learnt of each record", tokens.get("trained_lengths"), None),
    ]
    rows = [
        [name, *(text(lengths[each]) for each in _PERCENTILES)]
        for name, lengths in (("record", tokens.get("lengths")), ("learnt", tokens.get("trained_lengths")))
        if lengths
    ]
    told = facts(
        [
            ("base model", tokens["base_model"]),
            ("task", tokens["task"]),
            ("template", tokens["template"].replace("_", " ")),
            ("max_length", _limits(tokens)),
            ("looked at", _looked_at(tokens)),
            ("cut at its beginning", _cut(tokens["truncated"], "prompts", "prompt_tokens")),
            ("cut at its end", _cut(tokens["truncated"], "ends", "end_tokens")),
            ("answers lost", _lost(tokens["truncated"])),
            ("pieces of texts", f"{tokens['pieces']:,}" if tokens["pieces"] > tokens["records"] else None),
            ("unknown tokens", _unknown(tokens.get("unknown"))),
            (
                "special tokens in the text",
                ", ".join(f"{name} ({n:,})" for name, n in tokens["special_tokens"].items()),
            ),
        ]
    )
    percentiles = table(("tokens", "least", "mean", "50 %", "90 %", "95 %", "99 %", "most"), rows) if rows else None
    return joined([element("div", *charts, class_="columns"), percentiles, element("h3", "How it is read"), told])


def _chart(title: str, lengths: Mapping[str, Any] | None, limit: int | None) -> Markup | None:
    return histogram(title, lengths["histogram"], x_name="tokens", limit=limit) if lengths else None


def _characters(lengths: Mapping[str, Any] | None) -> Markup | None:
    if not lengths:
        return None
    names = ("minimum", "median", "p90", "p99", "maximum", "mean")
    chart = histogram("Characters of each record", lengths["histogram"], x_name="characters", limit=None)
    figures = table(("least", "50 %", "90 %", "99 %", "most", "mean"), [[text(lengths[name]) for name in names]])
    return joined([element("div", chart, class_="columns"), figures])


def _limits(tokens: Mapping[str, Any]) -> str:
    context = tokens.get("context_length")
    said = f"{tokens['max_length']:,}"
    if context is None:
        return f"{said}; the context of the base model is not known here"
    return f"{said}; the base model has a context of {context:,}"


def _looked_at(tokens: Mapping[str, Any]) -> str:
    every = tokens.get("every", 1)
    if every == 1:
        return "every record"
    return f"a sample: one record in {every:,}, evenly over the file ({tokens['records']:,} records); all figures are its own"


def _cut(truncated: Mapping[str, int], records: str, tokens: str) -> str:
    return f"{truncated[records]:,} records, {truncated[tokens]:,} tokens" if truncated[records] else "none"


def _lost(truncated: Mapping[str, int]) -> str | None:
    if not truncated.get("answers"):
        return None
    return f"{truncated['answers']:,} before the last of their record, {truncated['answer_tokens']:,} tokens"


def _unknown(unknown: Mapping[str, Any] | None) -> str:
    if unknown is None:
        return "none: this tokenizer can write every text"
    return f"{unknown['tokens']:,} ({unknown['share']:.2%})"


def _labels(labels: Mapping[str, Any] | None, records: int) -> Markup | None:
    if not labels:
        return None
    ordered = sorted(labels["counts"].items(), key=lambda pair: -pair[1])
    rows: list[list[Content]] = [[visible(name), number, f"{number / max(records, 1):.1%}"] for name, number in ordered]
    shown, more = rows[:MOST_LABELS], rows[MOST_LABELS:]
    folded = element("details", element("summary", f"{len(more)} more"), table(("label", "records", "share"), more))
    return joined([table(("label", "records", "share"), shown), folded if more else None])
