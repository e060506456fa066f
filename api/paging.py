"""Parameters of lists, as OpenAI names them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import BaseModel

from afinador.schemas.base import Page

Item = TypeVar("Item", bound=BaseModel)

Limit = Annotated[int, Query(description="Items of a page, 1 to 100.")]
After = Annotated[str | None, Query(description="Id of the last item of the page before.")]


def page(items: list[Item], *, has_more: bool = False, empty_id: str | None = None) -> Page[Item]:
    """Build a page; ``empty_id`` stands for the first and last id of an empty one."""
    first, last = (str(getattr(item, "id", "")) or None for item in (items[0], items[-1])) if items else (None, None)
    return Page(data=items, has_more=has_more, first_id=first or empty_id, last_id=last or empty_id)
