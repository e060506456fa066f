"""Lists of any length, read page by page as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.calls import Call
from afinador.errors import InvalidRequestError

LARGEST_PAGE = 100


async def iterate(
    connection: AsyncConnection, call: Call, *, after: str | None = None, page_size: int | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Yield all objects of a list, in the service's order; each page is asked for before the last object of the one before.

    So who gets an object may delete it: the next page begins behind an object that is still there.

    Args:
        connection: Where to ask.
        call: A call that answers with a list.
        after: Begin behind the object with this id.
        page_size: Objects a page, 1 to 100; as many as there may be if omitted.
    """
    call = call.with_params(limit=page_size or LARGEST_PAGE)
    page = await connection.json(call.with_params(after=after), "data")
    while page["data"]:
        for item in page["data"][:-1]:
            yield item
        last = page["data"][-1]
        behind = call.with_params(after=_last_id(page)) if page.get("has_more") else None
        page = await connection.json(behind, "data") if behind else {"data": []}
        yield last


async def first(
    connection: AsyncConnection, call: Call, limit: int, after: str | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Return the first ``limit`` objects of a list, and whether there are more.

    Raises:
        InvalidRequestError: ``limit`` is below 0.
    """
    if limit < 0:
        raise InvalidRequestError(f"limit is {limit}; it must be 0 or more.", param="limit")
    found: list[dict[str, Any]] = []
    while True:
        wanted = min(limit + 1 - len(found), LARGEST_PAGE)
        page = await connection.json(call.with_params(after=after, limit=wanted), "data")
        found += page["data"]
        if len(found) > limit or not page.get("has_more") or not page["data"]:
            return found[:limit], len(found) > limit
        after = _last_id(page)


def _last_id(page: dict[str, Any]) -> str:
    return str(page.get("last_id") or page["data"][-1]["id"])
