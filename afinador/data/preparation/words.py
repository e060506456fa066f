"""The words of an expression: names, numbers, texts and signs, with the place of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from afinador.data.quoting import shortened
from afinador.errors import InvalidRequestError

LONGEST_EXPRESSION = 2000
EXAMPLES = "'length > 10', \"text contains 'refund'\", \"words >= 3 and not label == 'spam'\", \"text matches '[0-9]+' or language(text) == 'es'\""

Kind = Literal["name", "field", "value", "sign", "end"]

_WORD = re.compile(
    r"\s*(?:"
    r"(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*(?:\.\w+)*)"
    r"|`(?P<field>[^`]+)`"
    r"|'(?P<single>(?:[^'\\]|\\.)*)'"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|(?P<sign><=|>=|==|!=|<|>|\(|\)|,)"
    r")",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "'": "'", '"': '"', "\\": "\\"}
CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Word:
    """One word; ``position`` counts characters from 1."""

    kind: Kind
    text: str
    position: int
    value: Any = None


def words_of(expression: str, *, param: str) -> list[Word]:
    """Cut an expression into words, with one of the kind ``end`` behind the last.

    Raises:
        InvalidRequestError: It is too long, or something in it is no word.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidRequestError(
            f"The condition has {len(expression)} characters; at most {LONGEST_EXPRESSION} are read. "
            "Write several filters.",
            param=param,
        )
    words, position = [], 0
    while rest := expression[position:].lstrip():
        position = len(expression) - len(rest)
        found = _WORD.match(rest)
        if found is None:
            raise InvalidRequestError(
                f"The condition {shortened(expression, 100)} is not understood at {shortened(rest[:20])} (character "
                f"{position + 1}). Texts stand in quotes, fields with other characters than letters, digits and "
                f"underscores in backquotes. Examples: {EXAMPLES}.",
                param=param,
            )
        words.append(_word(found, position + 1))
        position += found.end()
    words.append(Word("end", "the end", len(expression) + 1))
    return words


def _word(found: re.Match[str], position: int) -> Word:
    kind, text = str(found.lastgroup), found[0].strip()
    if kind == "number":
        return Word("value", text, position, float(text) if any(c in text for c in ".eE") else int(text))
    if kind in ("single", "double"):
        return Word("value", text, position, _ESCAPED.sub(_unescaped, found[kind]))
    if kind == "name" and text in CONSTANTS:
        return Word("value", text, position, CONSTANTS[text])
    if kind == "field":
        return Word("field", found["field"], position)
    return Word("name" if kind == "name" else "sign", text, position)


def _unescaped(found: re.Match[str]) -> str:
    r"""Give the character that is meant; of others (``\d`` of a regular expression) the backslash stays."""
    return _MEANT.get(found[1], found[0])
