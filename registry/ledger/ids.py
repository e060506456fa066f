"""Ids: a prefix and 24 random letters and digits, so that they cannot be guessed."""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits


def random_text(length: int) -> str:
    """Return random lower-case letters and digits, fit for secrets."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_id(prefix: str) -> str:
    """Return an id such as ``ftjob-…``; ``prefix`` holds its own separator."""
    return f"{prefix}{random_text(24)}"
