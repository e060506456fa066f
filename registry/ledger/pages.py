"""Pages of lists, as OpenAI's API cuts them: go on behind the row ``after``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from afinador.errors import InvalidRequestError, OutOfRangeError


def page(
    session: Session,
    query: Select[Any],
    order: Sequence[InstrumentedAttribute[Any]],
    *,
    key: InstrumentedAttribute[str],
    after: str | None,
    limit: int,
    places: Select[Any] | None = None,
    descending: bool = True,
    largest_limit: int = 100,
) -> tuple[list[Any], bool]:
    """Return one page of a query's rows, and whether there are more behind it.

    Args:
        session: The transaction to read in.
        query: Selects the rows of one organisation.
        order: Columns that together order the rows without ties.
        key: The column that ``after`` names.
        after: The last row of the page before; None for the first page.
        limit: Rows of a page.
        places: Selects all rows of the organisation that ``after`` may name, where the query leaves some out: what is
            deleted or no longer fits the filter while people go through the list keeps its place in it.
        descending: Newest first.
        largest_limit: What ``limit`` may be at most.

    Raises:
        OutOfRangeError: ``limit`` is not from 1 to ``largest_limit``.
        InvalidRequestError: ``after`` is not among the rows of ``places``, or of the query if there are none.
    """
    if not 1 <= limit <= largest_limit:
        raise OutOfRangeError(f"limit is {limit}; it must be from 1 to {largest_limit}.", param="limit")
    if after is not None:
        last = session.execute(
            (query if places is None else places).with_only_columns(*order).where(key == after)
        ).first()
        if last is None:
            raise InvalidRequestError(
                f"after is {after!r}, which is not in this list; give the id of the last object of a page.",
                param="after",
            )
        place = tuple_(*order)
        query = query.where(place < tuple(last) if descending else place > tuple(last))
    ordered = query.order_by(*(column.desc() if descending else column.asc() for column in order))
    rows = list(session.scalars(ordered.limit(limit + 1)))
    return rows[:limit], len(rows) > limit
