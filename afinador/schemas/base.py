"""What all wire objects share."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(description="Opaque, unique, and the same for ever.")]
OrganizationId = Annotated[str, Field(description="Whose it is.")]
CreatedAt = Annotated[int, Field(description="When it was made, in Unix seconds.")]
FinishedAt = Annotated[int | None, Field(description="When it ended, in Unix seconds; null until then.")]
RunUrl = Annotated[str | None, Field(description="Its page in the Prefect UI, once it has a run.")]
Failure = Annotated[dict[str, Any] | None, Field(description="`code` and `message` of what failed; null otherwise.")]
Sha256 = Annotated[str, Field(description="Of its bytes, in hex.")]


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
    """What is left of a thing: its id.

    Attributes:
        id: Of what was deleted; of a hub entry the name that was given.
        object: What kind of thing it was.
        deleted: Always true.
    """

    id: str
    object: str
    deleted: bool = True
