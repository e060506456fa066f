"""HTML in which every text is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_VOID = ("br", "meta", "input", "circle", "rect", "line", "path")
"""Elements without content."""


class Markup(str):
    """Text that is HTML already."""


Content = str | int | float | None


def element(name: str, /, *content: Content, **attributes: Content) -> Markup:
    """Return an element; what is in it is escaped, unless it is ``Markup``.

    Args:
        name: Of the element.
        *content: Texts, numbers and elements; None is left out.
        **attributes: ``_`` stands for ``-``, a last one is left out (``class_``); those that are None are left out.
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not content:
        return Markup(f"<{name}{named}{'' if name in ('br', 'meta', 'input') else '/'}>")
    return Markup(f"<{name}{named}>{joined(content)}</{name}>")


def joined(content: Iterable[Content]) -> Markup:
    """Return texts and elements one after the other."""
    return Markup("".join(_escaped(each) for each in content if each is not None))


def table(header: Sequence[str], rows: Iterable[Sequence[Content]], *, class_: str | None = None) -> Markup:
    """Return a table that may be scrolled where it is wider than the page; numbers stand to the right."""
    rows = [*rows]
    columns = [rows and all(_is_number(row[place]) for row in rows) for place in range(len(header))]
    head = [
        element("th", word, scope="col", class_="number" if is_number else None)
        for word, is_number in zip(header, columns, strict=True)
    ]
    body = [element("tr", *(_cell(value) for value in row)) for row in rows]
    return element(
        "div",
        element("table", element("thead", element("tr", *head)), element("tbody", *body), class_=class_),
        class_="scroll",
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Return names and values; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    rows = [element("tr", element("th", name, scope="row"), _cell(value, "")) for name, value in shown]
    return element("div", element("table", element("tbody", *rows), class_="facts"), class_="scroll")


def code(value: str | None) -> Markup | None:
    """Return a name or a hash as it is to be typed."""
    return None if value is None else element("code", value)


def _cell(value: Content, number_class: str = "number") -> Markup:
    if _is_number(value):
        return element("td", f"{value:,}", class_=number_class or None)
    return element("td", value)


def _is_number(value: Content) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _escaped(value: Content) -> str:
    return value if isinstance(value, Markup) else html.escape(str(value))
