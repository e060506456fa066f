"""From an answer that is an error to the class of ``afinador.errors`` that the service raised."""

from __future__ import annotations

import json
from collections.abc import Iterator

from afinador import errors
from afinador.errors import AfinadorError

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


def _envelope(body: bytes) -> dict[str, str]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}
