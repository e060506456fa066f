"""The frame of every page. A page stands alone: no script, no address, and a policy that forbids both."""

from __future__ import annotations

from afinador.report.markup import Content, Markup, element
from afinador.report.style import CONTENT_SECURITY_POLICY, STYLE


def document(title: str, *content: Content) -> str:
    """Return a whole HTML document.

    Args:
        title: Of the browser's window.
        *content: Of the body.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_SECURITY_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', *content), lang='en')}\n"


def tiles(told: list[tuple[str, str | None]]) -> Markup:
    """Return names with values in large type; those without a value are left out."""
    shown = [element("div", element("b", value), element("span", name), class_="tile") for name, value in told if value]
    return element("div", *shown, class_="tiles")
