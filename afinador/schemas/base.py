"""What all wire objects share."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """An object as it travels. Times are Unix seconds."""

    model_config = ConfigDict(extra="ignore")


Item = TypeVar("Item")


class Page(Wire, Generic[Item]):
    """One page of a list, OpenAI's shape; go on with ``after=last_id``."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class Deleted(Wire):
    """What is left of a thing: its id."""

    id: str
    object: str
    deleted: bool = True
