"""From an answer that is an error to the class of ``afinador.errors`` that the service raised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from afinador import errors
from afinador.errors import AfinadorError, ServiceUnavailableError
from afinador.figures import counted

if TYPE_CHECKING:
    from afinador.schemas.base import Wire

Answered = TypeVar("Answered", bound="Wire")

_BY_STATUS: dict[int, type[AfinadorError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    413: errors.InvalidRequestError,
    429: errors.ServiceUnavailableError,
    502: errors.ServiceUnavailableError,
    503: errors.ServiceUnavailableError,
    504: errors.ServiceUnavailableError,
    507: errors.InsufficientStorageError,
}


def _family(root: type[AfinadorError]) -> Iterator[type[AfinadorError]]:
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


def error_from(status: int, body: bytes, url: str) -> AfinadorError:
    """Build the error that an answer means: by the envelope's ``code``, else by the status.

    Args:
        status: HTTP status, 400 or more.
        body: The answer; anything but our envelope (a proxy's page, for instance) is reduced to one sentence.
        url: What was asked, for that sentence.
    """
    envelope = _envelope(body)
    by_code = {kind.code: kind for kind in _family(AfinadorError)}
    code = envelope.get("code")
    kind = by_code.get(str(code)) or _BY_STATUS.get(status)
    if kind is None:
        kind = errors.InvalidRequestError if status < 500 else AfinadorError
    said = f"{url} answered {status}, not as an Afinador service does."
    if status == 429:
        said = f"{url} answered 429: a proxy before the service takes no more requests for now. Try again later."
    message = envelope.get("message") or said
    error = kind(str(message), param=envelope.get("param"))
    if code:
        error.code = str(code)
    return error


def object_of(body: bytes, url: str, needed: str | None = None) -> dict[str, Any]:
    """Return the object that an answer is.

    Args:
        body: The answer.
        url: What was asked.
        needed: A field that it must have.

    Raises:
        ServiceUnavailableError: It is none, or has no such field.
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ServiceUnavailableError(
            f"{url} answered {counted(len(body), 'byte')}, and no JSON object; is this an Afinador service?"
        )
    if needed is not None and needed not in document:
        raise _not_of_afinador(url, f"it has no {needed!r}")
    return document


def read_as(kind: type[Answered], answer: dict[str, Any], url: str) -> Answered:
    """Build the object that an answer describes.

    Args:
        kind: Its class.
        answer: What the service said.
        url: Who said so.

    Raises:
        ServiceUnavailableError: It describes no such object.
    """
    try:
        return kind.model_validate(answer)
    except ValueError as error:  # of pydantic, which the command line has no need of
        raise _not_of_afinador(url, f"it is no {kind.__name__}") from error


def _not_of_afinador(url: str, why: str) -> ServiceUnavailableError:
    """Build the error that somebody else has answered, or a service of another version."""
    return ServiceUnavailableError(
        f"The answer of {url} is not one of Afinador's: {why}. Check AFINADOR_BASE_URL (or base_url), what stands between as a "
        "proxy, and that the service is of the same version as this client."
    )


def _envelope(body: bytes) -> dict[str, str]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}
