"""What the prompts of a job may hold beside their words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from afinador.errors import InvalidRequestError, nearest

PLACE = "{document}"
"""Where a prompt wants the document; without it the document follows after a blank line."""

_PLACEHOLDER = re.compile(r"(?<!\{)\{\s*([^\W\d]\w{0,59})\s*\}(?!\})")


def require_known_places(prompts: Mapping[str, str] | None, *, param: str) -> None:
    """Do nothing if prompts have no other place than that of the document; any other would be learnt as it stands.

    Args:
        prompts: By type of document.
        param: What to blame.

    Raises:
        InvalidRequestError: A prompt has another one; names it.
    """
    for type, prompt in (prompts or {}).items():
        for found in _PLACEHOLDER.finditer(prompt):
            if found[0] != PLACE:
                raise InvalidRequestError(
                    f"The prompt for {type[:60]!r} has the place {found[0]!r}; the only one that is filled is {PLACE!r}."
                    f"{nearest(found[1], ['document'])} Correct it, or write it without braces.",
                    param=param,
                )
