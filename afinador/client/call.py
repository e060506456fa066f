"""One call of the API, and how what it is about is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from afinador.errors import InvalidRequestError


@dataclass(frozen=True)
class Call:
    """One request to be sent.

    Attributes:
        path: Below ``/v1``.
        params: The query; None values are left out.
        body: Sent as JSON.
        content: Sent as it is, instead of a body.
        as_operator: Signed with the operator's key, where there is one.
        is_idempotent: A POST that does no more the second time.
        also_answers: Statuses of errors that are no errors here: their bodies are answers, too.
        timeout_seconds: For an answer to begin, where that takes longer than others do.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    as_operator: bool = False
    is_idempotent: bool = False
    content: bytes | None = None
    also_answers: tuple[int, ...] = ()
    timeout_seconds: float | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method != "POST" or self.is_idempotent

    def with_params(self, **params: Any) -> Call:
        """Return the same call with further query parameters."""
        return replace(self, params={**self.params, **params})


class HasId(Protocol):
    """Whatever the service has answered: it names itself."""

    @property
    def id(self) -> str:
        """What the service knows it by."""


Named = str | HasId


def id_of(thing: Named) -> str:
    """Return what the service knows a thing by.

    Raises:
        InvalidRequestError: The name is empty: the path of no name is that of a list.
    """
    name = thing if isinstance(thing, str) else thing.id
    if not name.strip():
        raise InvalidRequestError("The name is empty. Give an id or a name.")
    return name
