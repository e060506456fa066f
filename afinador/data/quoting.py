"""How messages tell what a data set holds: nothing that looks like personal data or a secret is ever printed.

Names (of fields, roles, labels, files) are quoted, with a word in the place of what looks like such, put there before
they are cut, so that no half of it is left. Contents are told by their kind and size alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from afinador.data.checks.personal_data import masked
from afinador.figures import counted

__all__ = ["cut", "described", "masked", "named", "shortened", "some_of"]

CHARACTERS_OF_NAME = 24
NAMES_SHOWN = 8
# Numbers of more digits may be somebody's: of a telephone, a card, an account.
CHARACTERS_OF_NUMBER = 6
# The longest that is looked for (a token in three parts) has 6000 characters; it may begin where a text is cut.
CHARACTERS_SEARCHED = 8192


def shortened(value: object, characters: int = 60) -> str:
    """Return a name as a message shows it: quoted, masked, on one line, not longer than ``characters`` and an ellipsis."""
    if isinstance(value, str):
        text = repr(masked(value[: characters + CHARACTERS_SEARCHED]))
    else:
        text = masked(json.dumps(value) if value is None or isinstance(value, bool) else repr(value))
    return text if len(text) <= characters else f"{text[:characters]}…"


def cut(text: str, characters: int = 60) -> str:
    """Return a place, or what is quoted already, as a message shows it: masked, printable, not longer than ``characters`` and an ellipsis."""
    text = masked(text[: characters + CHARACTERS_SEARCHED])
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= characters else f"{text[:characters]}…"


def described(value: object) -> str:
    """Say what a value is, for a message, and nothing of what it holds: ``a text of 12 characters``."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value) if _is_short(value) else "a number of many digits"
    if isinstance(value, str):
        return f"a text of {counted(len(value), 'character')}"
    if isinstance(value, list | tuple):
        return f"a list of {counted(len(value), 'value')}"
    if isinstance(value, Mapping):
        return f"an object of {counted(len(value), 'field')}"
    return f"a value of the type {type(value).__name__}"


def named(value: object) -> str:
    """Return what should be a name, quoted if it is a text, else described."""
    return shortened(value, CHARACTERS_OF_NAME) if isinstance(value, str) else described(value)


def some_of(names: Iterable[str]) -> str:
    """Return the first of some names as a message shows them, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return (", ".join(shortened(name) for name in names[:NAMES_SHOWN]) or "none") + more


def _is_short(number: float) -> bool:
    if isinstance(number, int):
        return abs(number) < 10**CHARACTERS_OF_NUMBER
    return len(repr(number)) <= CHARACTERS_OF_NUMBER + 2
