"""Records as the model will see them, as one page: every token learnt, only read, or cut, and its id on demand."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.figures import visible
from afinador.report.document import document
from afinador.report.markup import Markup, element, joined
from afinador.schemas.dataset_reports import DatasetPreview, PreviewedRecord, PreviewedToken

MEANINGS = (
    ("trained", "learnt: the model is taught to write it"),
    ("masked", "read: the model sees it and is not taught it"),
    ("cut", "cut: the model never sees it"),
)


def preview_page(preview: DatasetPreview) -> str:
    """Return the page. States differ by underline, weight and stroke, too, and not by colour alone."""
    came = (
        f"As {preview.base_model} sees it for {preview.task.replace('_', ' ')}: at most {preview.usable_length:,} tokens, "
        f"template: {preview.template.replace('_', ' ')}."
    )
    header = element(
        "header",
        element("div", element("h1", visible(preview.file)), class_="top"),
        element("p", came, class_="soft"),
        _legend(),
    )
    records = [_record(record) for record in preview.records]
    nothing = None if records else element("p", "There is no record that can be shown.", class_="soft")
    foot = element("footer", "Written by Afinador. Spaces at the borders of tokens are as the tokenizer has them.")
    return document(f"{preview.file}: preview", header, element("main", nothing, *records), foot)


def _legend() -> Markup:
    signs = [element("span", element("span", name, class_=f"t {name}"), f" {said}") for name, said in MEANINGS]
    switch = element("label", element("input", type="checkbox", id="ids"), " show the ids")
    return element("div", *signs, switch, class_="signs")


def _record(record: PreviewedRecord) -> Markup:
    heading = element("h2", f"Record at line {record.line}")
    if record.problem is not None:
        return element("section", heading, element("div", visible(record.problem), class_="note"))
    told = " · ".join(f"{number:,} {state}" for state, number in record.counts.items() if number)
    learnt = None
    if record.learns_class is not None:
        learnt = element("p", "Learnt is the class ", element("b", visible(record.learns_class)), ".")
    pieces = [_piece(tokens, number, record) for number, tokens in enumerate(record.pieces, start=1)]
    hidden = None
    if record.tokens_hidden:
        hidden = element("p", f"And {record.tokens_hidden:,} more tokens that are not shown.", class_="soft")
    return element("section", heading, element("p", f"{told} tokens", class_="soft"), learnt, *pieces, hidden)


def _piece(tokens: Sequence[PreviewedToken], number: int, record: PreviewedRecord) -> Markup:
    drawn = element("div", *(_token(token) for token in tokens), class_="tokens", dir="auto")
    if len(record.pieces) == 1:
        return drawn
    return joined([element("h3", f"Piece {number}"), drawn])


def _token(token: PreviewedToken) -> Markup:
    shown = visible(token.text).replace("\n", "⏎\n") or "·"
    return element("span", shown, class_=f"t {token.state}", title=f"{token.id} {token.state}", data_id=token.id)
