"""The language of a text, told by its letters."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

CHARACTERS_LOOKED_AT = 2000
"""The beginning of a text says enough."""


def language_of(texts: list[str]) -> str:
    """Return the language of texts as its two letters (ISO 639-1): ``es``, ``en``. Of a few words it is a guess."""
    found, _ = _identifier().classify("\n".join(texts)[:CHARACTERS_LOOKED_AT])
    return str(found)


@cache
def known_languages() -> frozenset[str]:
    """Return all languages that are told apart."""
    return frozenset(str(name) for name in _identifier().nb_classes)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # a second and some megabytes, for those who ask

    return LanguageIdentifier.from_model_file(MODEL_FILE)
