"""What tokenizers say of data sets, and previews of these, as a terminal shows them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.figures import counted, span, visible

if TYPE_CHECKING:
    from afinador.schemas.dataset_reports import DatasetPreview, PreviewedRecord, PreviewedToken

_COLOURS = {"trained": "\x1b[1;4;32m", "masked": "\x1b[2m", "cut": "\x1b[9;31m"}
_PLAIN = "\x1b[0m"
_SIGNS = {"trained": ("{+", "+}"), "masked": ("", ""), "cut": ("[-", "-]")}
_MEANINGS = (("trained", "learnt"), ("masked", "only read"), ("cut", "never seen"))
MOST_NAMES = 10
_LONGEST_NAME = 40
_BAR = 20
"""Characters."""
_PERCENTILES = ("min", "mean", "p50", "p90", "p95", "p99", "max")


def tokens_text(tokens: Mapping[str, Any]) -> str:
    """Return how long the records are for a tokenizer, and what is cut of them."""
    truncated, unknown = tokens["truncated"], tokens["unknown"]
    rows = [
        (name, *(lengths[each] for each in _PERCENTILES), render.sparkline(_bars(lengths)))
        for name, lengths in (("each record", tokens["lengths"]), ("learnt of it", tokens["trained_lengths"]))
        if lengths
    ]
    header = ("tokens", "least", "mean", "50 %", "90 %", "95 %", "99 %", "most", "spread")
    every = tokens.get("every", 1)
    told = render.fields(
        [
            ("looked at", "every record" if every == 1 else f"a sample: one record in {every}, evenly over the file"),
            ("tokens", f"{tokens['tokens']:,}"),
            ("at most", f"{tokens['usable_length']:,} a record"),
            ("template", tokens["template"].replace("_", " ")),
            ("cut before the answer", _cut(truncated["prompts"], truncated["prompt_tokens"])),
            ("cut at its end", _cut(truncated["ends"], truncated["end_tokens"])),
            ("answers lost", _lost(truncated)),
            ("unknown tokens", None if unknown is None else f"{unknown['tokens']:,} ({unknown['share']:.2%})"),
        ]
    )
    return "\n".join(["", render.table(header, rows), "", told])


def _cut(records: int, tokens: int) -> str:
    return f"{counted(records, 'record')}, {counted(tokens, 'token')}" if records else "none"


def _lost(truncated: Mapping[str, int]) -> str | None:
    """Say how many answers before the last are cut away; None where it is none, as in most reports."""
    if not truncated.get("answers"):
        return None
    return f"{truncated['answers']:,}, {counted(truncated['answer_tokens'], 'token')}"


def _bars(lengths: Mapping[str, Any]) -> list[float]:
    return [float(each["records"]) for each in lengths["histogram"]]


def counts_text(name: str, counts: Mapping[str, int]) -> str:
    """Return how often each of several names occurs: the most frequent ones with their shares, and what is left.

    Args:
        name: What is counted.
        counts: How many records have each; "" stands for those without one.
    """
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    whole, most = sum(counts.values()), ordered[0][1]
    rows = [
        (_one_line(each) or "(none)", number, f"{number / whole:>6.1%}", "█" * max(1, round(_BAR * number / most)))
        for each, number in ordered[:MOST_NAMES]
    ]
    lines = ["", render.table((name, "records", "share", ""), rows)]
    rest = ordered[MOST_NAMES:]
    if rest:
        records = counted(sum(number for _, number in rest), "record")
        lines.append(f"And {counted(len(rest), f'more {name}')} in {records}, {span(rest[-1][1], rest[0][1])} each.")
    return "\n".join(lines)


def _one_line(name: str) -> str:
    shown = " ".join(visible(name).split())
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def preview_text(preview: DatasetPreview, *, with_ids: bool) -> str:
    """Return records with each token marked: by colour and stroke on a terminal, by signs elsewhere."""
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    legend = "  ".join(f"{_marked(state, state, is_coloured)} {meaning}" for state, meaning in _MEANINGS)
    came = f"{preview.file} as {preview.base_model} sees it; at most {counted(preview.usable_length, 'token')}."
    said = f"{came} {_summary(preview)} Signs: {legend}"
    shown = [_record(record, with_ids=with_ids, is_coloured=is_coloured) for record in preview.records]
    told = [*(shown or ["There is no record that can be shown."]), preview.passed_over()]
    return "\n\n".join([said, *filter(None, told)])


def _summary(preview: DatasetPreview) -> str:
    """Say how much of the file is shown, and what becomes of its tokens."""
    shown, total = f"{len(preview.records):,}", preview.total_records
    shown = counted(len(preview.records), "record") if total is None else f"{shown} of {counted(total, 'record')}"
    tokens = preview.totals()
    states = ", ".join(f"{number:,} {state}" for state, number in tokens.items())
    whole = " ".join(filter(None, (counted(sum(tokens.values()), "token"), preview.repeated())))
    return f"Shown: {shown}, {whole}: {states}."


def _record(record: PreviewedRecord, *, with_ids: bool, is_coloured: bool) -> str:
    place = visible(record.place[:1].lower() + record.place[1:])
    if record.problem is not None:
        return f"{place}: {visible(record.problem)}"
    states = ", ".join(f"{number:,} {state}" for state, number in record.counts.items() if number)
    lines = [f"{place}: {counted(sum(record.counts.values()), 'token')}: {states}"]
    if record.learns_class is not None:
        lines[0] += f"; learnt is the class {visible(record.learns_class)!r}"
    lines += [f"warning: {visible(doubt)}" for doubt in record.doubts]
    for number, piece in enumerate(record.pieces, start=1):
        if len(record.pieces) > 1:
            lines.append(f"piece {number}:")
        lines.append(_listed(piece) if with_ids else _running(piece, is_coloured))
    if record.hidden_at_end():
        lines.append(f"And {counted(record.hidden_at_end(), 'more token')}.")
    return "\n".join(lines)


def _running(piece: list[PreviewedToken], is_coloured: bool) -> str:
    return "".join(
        _marked("".join(f"{_hidden(token, ' ')}{visible(token.text)}" for token in run), state, is_coloured)
        for state, run in groupby(piece, key=lambda token: token.state)
    )


def _listed(piece: list[PreviewedToken]) -> str:
    return "\n".join(
        f"{_hidden(token, chr(10))}{token.id:>8}  {token.state:<7}  {visible(token.text)!r}" for token in piece
    )


def _hidden(token: PreviewedToken, end: str) -> str:
    """Say what is not shown before a token."""
    return f" … {counted(token.hidden_before, 'more token')} …{end}" if token.hidden_before else ""


def _marked(text: str, state: str, is_coloured: bool) -> str:
    if is_coloured:
        return f"{_COLOURS[state]}{text}{_PLAIN}"
    before, after = _SIGNS[state]
    return f"{before}{text}{after}"
