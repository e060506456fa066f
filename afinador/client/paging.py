# Made by docs/generate.py from afinador/client/asynchronous/paging.py; change that, then run `make docs`.
"""Lists of any length, read page by page as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afinador.client.calls import Call
from afinador.client.connection import Connection

LARGEST_PAGE = 100


def iterate(
    connection: Connection, call: Call, *, after: str | None = None, page_size: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield all objects of a list, in the service's order; each page is asked for when the one before is used up.

    Args:
        connection: Where to ask.
        call: A call that answers with a list.
        after: Begin behind the object with this id.
        page_size: Objects a page, 1 to 100; as many as there may be if omitted.
    """
    while True:
        page = connection.json(call.with_params(after=after, limit=page_size or LARGEST_PAGE))
        yield from page["data"]
        if not page.get("has_more") or not page["data"]:
            return
        after = page.get("last_id") or page["data"][-1]["id"]


def first(
    connection: Connection, call: Call, limit: int, after: str | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Return the first ``limit`` objects of a list, and whether there are more."""
    found: list[dict[str, Any]] = []
    for item in iterate(connection, call, after=after, page_size=min(limit + 1, LARGEST_PAGE)):
        if len(found) == limit:
            return found, True
        found.append(item)
    return found, False
