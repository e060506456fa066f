# Made by docs/generate.py from afinador/client/asynchronous/nouns.py; change that, then run `make docs`.
"""What the nouns of the client are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from afinador.client import paging
from afinador.client.answers import read_as
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
            yield read_as(self._kind, item, self._connection.access.root_url)

    def first(self, limit: int) -> list[Item]:
        """Return the first ``limit`` of them, or all if there are fewer."""
        items, _ = paging.first(self._connection, self._call, limit, self._after)
        return [read_as(self._kind, item, self._connection.access.root_url) for item in items]


class Noun:
    """The calls about one kind of thing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _ask(self, call: Call, kind: type[Item]) -> Item:
        return read_as(kind, self._connection.json(call), f"{self._connection.access.root_url}/v1{call.path}")
