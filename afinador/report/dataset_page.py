"""The report on a data set as one page: is it fit to be trained on, what is wrong, how long it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afinador.figures import counted, size, span, visible
from afinador.report.charts import share
from afinador.report.document import document, tiles
from afinador.report.histograms import histogram
from afinador.report.markup import Content, Markup, code, element, facts, joined, table
from afinador.schemas.dataset_formats import fitness
from afinador.schemas.dataset_reports import DatasetReport, Fault

MOST_LABELS = 60
OPEN_FAULTS = 3
"""So many of each kind stand open; more of them are folded."""
_PERCENTILES = ("min", "mean", "p50", "p90", "p95", "p99", "max")
_HELD_OUT = "held-out"


def dataset_page(report: DatasetReport) -> str:
    """Return the page of a report, with that of the file that is held out below it."""
    parts = _sections(report, 2, "")
    if report.validation is not None:
        parts.append(_held_out(report.validation))
    foot = element("footer", "Written by Afinador. Figures of tokens are those of the code that training uses.")
    return document(f"{report.file}: {_verdict(report)}", _header(report), element("main", *parts), foot)


def _sections(report: DatasetReport, level: int, prefix: str) -> list[Markup]:
    """Return what is told of a file, part by part.

    Args:
        report: On the file.
        level: Of the headings.
        prefix: Of the names that links lead to.
    """
    parts = [
        ("Errors", _faults(report.errors, report.counts, level + 1)),
        ("Tokens", _tokens(report.tokens, level + 1) if report.tokens else None),
        ("Warnings", _faults(report.warnings, report.counts, level + 1)),
        ("Notes", _faults(report.notes, {}, level + 1)),
        ("Characters", _characters(report.lengths)),
        ("Labels", counts_table("label", report.labels["counts"]) if report.labels else None),
        ("Types of documents", counts_table("type", report.types) if report.types else None),
    ]
    return [
        element("section", element(f"h{level}", title), part, id=f"{prefix}{title.lower().replace(' ', '-')}")
        for title, part in parts
        if part
    ]


def _held_out(report: DatasetReport) -> Markup:
    heading = element("h2", "Held out: ", visible(report.file), " ", _badge(report), class_="file")
    told = [_kind(report), _found(report, f"{_HELD_OUT}-"), _note(report), _tiles(report)]
    return element("section", heading, *told, *_sections(report, 3, f"{_HELD_OUT}-"), id=_HELD_OUT)


def _header(report: DatasetReport) -> Markup:
    top = element("div", element("h1", visible(report.file)), _badge(report), class_="top")
    held_out = None
    if report.validation is not None:
        link = element("a", f"Held out: {visible(report.validation.file)}", href=f"#{_HELD_OUT}")
        held_out = element("p", link, " ", _badge(report.validation))
    return element("header", top, _kind(report), _found(report, ""), held_out, _note(report), _tiles(report))


def _verdict(report: DatasetReport) -> str:
    return fitness(report.errors, [note.code for note in report.notes])


def _badge(report: DatasetReport) -> Markup:
    return element("span", _verdict(report), class_=f"badge {'valid' if report.valid else 'refused'}")


def _kind(report: DatasetReport) -> Markup:
    told = [name.replace("_", " ") for name in (report.format, report.shape) if name]
    return element("p", " · ".join([*told, size(report.bytes)]), class_="soft")


def _found(report: DatasetReport, prefix: str) -> Markup:
    """Say how much was found of each severity, and lead to it."""
    words: list[Content] = []
    for severity, number in report.found().items():
        said = counted(number, severity) if number else f"no {severity}s"
        linked = element("a", said, href=f"#{prefix}{severity}s", class_=severity) if number else said
        words += [" · ", linked] if words else [linked]
    return element("p", *words)


def _note(report: DatasetReport) -> Markup | None:
    return None if report.valid else element("div", visible(report.summary), class_="callout")


def _tiles(report: DatasetReport) -> Markup:
    tokens = report.tokens or {}
    cut = tokens.get("truncated") or {}
    told = [
        (report.records, "record", "records"),
        (report.unusable_records or None, "of these, unusable", "of these, unusable"),
        (tokens.get("tokens"), "token", "tokens"),
        (tokens.get("trained_tokens"), "token learnt", "tokens learnt"),
        (cut.get("records"), "record cut", "records cut"),
        (cut.get("ends") or None, "of these, at its end", "of these, at their end"),
        (cut.get("answers") or None, "answer lost", "answers lost"),
    ]
    return tiles([(one if number == 1 else many, f"{number:,}") for number, one, many in told if number is not None])


def _faults(faults: Sequence[Fault], counts: Mapping[str, int], level: int) -> Markup | None:
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
        groups.append(element(f"h{level}", code(name), element("span", f" {number:,}", class_="soft")))
        groups.append(joined([element("ul", *first, class_="faults"), folded if rest else None]))
    return joined(groups) if groups else None


def _tokens(tokens: Mapping[str, Any], level: int) -> Markup:
    limit = tokens["usable_length"]
    limit_name = "max_length" if limit == tokens["max_length"] else "context"
    charts = [
        histogram(title, lengths["histogram"], x_name="tokens", limit=most, limit_name=limit_name)
        for title, lengths, most in (
            ("Tokens of each record", tokens.get("lengths"), limit),
            ("Tokens that are learnt of each record", tokens.get("trained_lengths"), None),
        )
        if lengths
    ]
    rows = [
        [name, *(lengths[each] for each in _PERCENTILES)]
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
            ("cut before the answer", _cut(tokens["truncated"], "prompts", "prompt_tokens")),
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
    return joined(
        [element("div", *charts, class_="columns"), percentiles, element(f"h{level}", "How it is read"), told]
    )


def _characters(lengths: Mapping[str, Any] | None) -> Markup | None:
    if not lengths:
        return None
    names = ("minimum", "median", "p90", "p99", "maximum", "mean")
    chart = histogram("Characters of each record", lengths["histogram"], x_name="characters")
    figures = table(("least", "50 %", "90 %", "99 %", "most", "mean"), [[lengths[name] for name in names]])
    return element("div", chart, figures, class_="columns")


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
    looked_at = counted(tokens["records"], "record")
    return f"a sample: one record in {every:,}, evenly over the file ({looked_at}); all figures are its own"


def _cut(truncated: Mapping[str, int], records: str, tokens: str) -> str:
    if not truncated[records]:
        return "none"
    return f"{counted(truncated[records], 'record')}, {counted(truncated[tokens], 'token')}"


def _lost(truncated: Mapping[str, int]) -> str | None:
    if not truncated.get("answers"):
        return None
    return f"{truncated['answers']:,} before the last of their record, {counted(truncated['answer_tokens'], 'token')}"


def _unknown(unknown: Mapping[str, Any] | None) -> str:
    if unknown is None:
        return "none: this tokenizer can write every text"
    return f"{unknown['tokens']:,} ({unknown['share']:.2%})"


def counts_table(name: str, counts: Mapping[str, int]) -> Markup:
    """Return how often each of several names occurs, the most frequent first, with its share as a bar.

    Args:
        name: What is counted.
        counts: How many records have each; "" stands for those without one.
    """
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    rows: list[list[Content]] = [
        [
            element("span", visible(each) or "(none)", class_="name"),
            number,
            joined([share(number / most), f"{number / whole:.1%}"]),
        ]
        for each, number in ordered
    ]
    header = (name, "records", "share")
    shown, more = rows[:MOST_LABELS], rows[MOST_LABELS:]
    folded = element("details", element("summary", f"{len(more)} more"), table(header, more))
    named = [number for each, number in ordered if each] or [most]
    each_has = f"{span(named[-1], named[0])} record{'' if named[0] == 1 else 's'}"
    told = element("p", f"{counted(len(named), name)}, of {each_has} each.", class_="soft") if len(named) > 1 else None
    return joined([told, table(header, shown), folded if more else None])
