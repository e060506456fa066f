"""Records as the model will see them, as one page: every token learnt, only read, or cut, and its id on demand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from afinador.figures import counted, visible
from afinador.report.document import document, tiles
from afinador.report.markup import Markup, element, joined
from afinador.schemas.dataset_reports import DatasetPreview, PreviewedRecord, PreviewedToken

MEANINGS = (
    ("trained", "learnt: the model is taught to write it"),
    ("masked", "read: the model sees it and is not taught it"),
    ("cut", "cut: the model never sees it"),
)
LONGEST_RUN = 200
"""Of more tokens side by side that are not learnt, those in the middle are folded."""
_OPEN_TOKENS = 60
"""So many stand open before and behind what is folded."""


def preview_page(preview: DatasetPreview) -> str:
    """Return the page. States differ by underline, weight and stroke, too, and not by colour alone."""
    came = (
        f"As {preview.base_model} sees it for {preview.task.replace('_', ' ')}: at most "
        f"{counted(preview.usable_length, 'token')}, template: {preview.template.replace('_', ' ')}."
    )
    header = element(
        "header",
        element("div", element("h1", visible(preview.file)), class_="top"),
        element("p", visible(came), class_="soft"),
        _tiles(preview),
        _legend(),
    )
    records = [_record(record) for record in preview.records]
    nothing = None if records else element("p", "There is no record that can be shown.", class_="soft")
    left_out = element("p", preview.passed_over(), class_="callout") if preview.unusable_records else None
    foot = element("footer", "Written by Afinador. Spaces at the borders of tokens are as the tokenizer has them.")
    return document(f"{preview.file}: preview", header, element("main", nothing, *records, left_out), foot)


def _tiles(preview: DatasetPreview) -> Markup:
    """Say how much of the file is shown, and what becomes of its tokens."""
    shown, total = f"{len(preview.records):,}", preview.total_records
    tokens = preview.totals()
    whole = sum(tokens.values())
    told: list[tuple[str, str | None]] = [
        ("record shown" if total == 1 else "records shown", shown if total is None else f"{shown} of {total:,}"),
        (" ".join(filter(None, ("token" if whole == 1 else "tokens", preview.repeated()))), f"{whole:,}"),
    ]
    told += [(f"{state} ({number / max(1, whole):.0%})", f"{number:,}") for state, number in tokens.items()]
    return tiles(told)


def _legend() -> Markup:
    signs = [element("span", element("span", name, class_=f"t {name}"), f" {said}") for name, said in MEANINGS]
    switch = element("label", element("input", type="checkbox", id="ids"), " show the ids")
    return element("div", *signs, switch, class_="signs")


def _record(record: PreviewedRecord) -> Markup:
    is_line = record.place.startswith("Line ")
    heading = element("h2", f"Record at line {record.line:,}" if is_line else visible(record.place))
    if record.problem is not None:
        return element("section", heading, element("div", visible(record.problem), class_="callout"))
    states = ", ".join(f"{number:,} {state}" for state, number in record.counts.items() if number)
    told = element("p", f"{counted(sum(record.counts.values()), 'token')}: {states}", class_="soft")
    learnt = None
    if record.learns_class is not None:
        learnt = element("p", "Learnt is the class ", element("b", visible(record.learns_class)), ".")
    doubts = [element("div", visible(doubt), class_="callout") for doubt in record.doubts]
    pieces = [_piece(tokens, number, record) for number, tokens in enumerate(record.pieces, start=1)]
    hidden = None
    if record.hidden_at_end():
        said = f"And {_not_shown(record.hidden_at_end())}."
        hidden = element("p", said, class_="soft")
    return element("section", heading, told, learnt, *doubts, *pieces, hidden)


def _piece(tokens: Sequence[PreviewedToken], number: int, record: PreviewedRecord) -> Markup:
    runs = [[*run] for _, run in groupby(tokens, key=lambda token: token.state)]
    drawn = element("div", *map(_run, runs), class_="tokens", dir="auto")
    if len(record.pieces) == 1:
        return drawn
    return joined([element("h3", f"Piece {number:,}"), drawn])


def _run(tokens: Sequence[PreviewedToken]) -> Markup:
    """Return tokens of one state side by side; of many that are not learnt only both ends stand open."""
    drawn = [_token(token) for token in tokens]
    state = tokens[0].state
    if len(drawn) <= LONGEST_RUN or state == "trained":
        return joined(drawn)
    folded = drawn[_OPEN_TOKENS:-_OPEN_TOKENS]
    number = sum(1 + token.hidden_before for token in tokens[_OPEN_TOKENS:-_OPEN_TOKENS])
    told = element("summary", f"{counted(number, 'more token')} that {_are(number)} {state}")
    return joined([*drawn[:_OPEN_TOKENS], element("details", told, *folded), *drawn[-_OPEN_TOKENS:]])


def _not_shown(number: int) -> str:
    return f"{counted(number, 'more token')} that {_are(number)} not shown"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _token(token: PreviewedToken) -> Markup:
    shown = visible(token.text).replace("\n", "⏎\n") or "·"
    # A line that ends with the token ends behind its id.
    told, end = (shown[:-1], "\n") if shown.endswith("\n") else (shown, None)
    drawn = element("span", told, class_=f"t {token.state}", title=f"{token.id} {token.state}", data_id=token.id)
    hidden = element("span", f" … {_not_shown(token.hidden_before)} … ", class_="soft") if token.hidden_before else None
    return joined([hidden, drawn, end])
