# Made by docs/generate.py from afinador/client/asynchronous/nouns.py; change that, then run `make docs`.
"""What the nouns of the client are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from afinador.client import paging
from afinador.client.calls import Call
from afinador.client.connection import Connection
from afinador.schemas.base import Wire

Item = TypeVar("Item", bound=Wire)


class Listing(Generic[Item]):
    """All objects of a list, in the service's order, read page by page while they are gone through."""

    def __init__(self, connection: Connection, call: Call, kind: type[Item], after: str | None = None) -> None:
        self._connection, self._call, self._kind, self._after = connection, call, kind, after

    def __iter__(self) -> Iterator[Item]:
        for item in paging.iterate(self._connection, self._call, after=self._after):
            yield self._kind.model_validate(item)

    def first(self, limit: int) -> list[Item]:
        """Return the first ``limit`` of them, or all if there are fewer."""
        items, _ = paging.first(self._connection, self._call, limit, self._after)
        return [self._kind.model_validate(item) for item in items]


class Noun:
    """The calls about one kind of thing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _ask(self, call: Call, kind: type[Item]) -> Item:
        return kind.model_validate(self._connection.json(call))
