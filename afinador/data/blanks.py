"""Texts that hold nothing: no character that is seen, or the word of a program for a value that is missing."""

from __future__ import annotations

import re

INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2800\u3164\ufeff\uffa0"
    + "".join(
        map(chr, (*range(0x180B, 0x180E), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE01F0)))
    )
)
"""Characters that are not seen and are no white space to Python: without width, fillers, marks of direction and variation."""

BLANKS = INVISIBLE | {chr(code) for code in range(0x3001) if chr(code).isspace()}
"""All that a text without a character that is seen may hold."""

MISSING = frozenset(
    {
        "NaN", "nan", "NA", "NULL", "null", "None", "<NA>", "NaT", "undefined", "N/A", "n/a", "\\N",
        "#N/A", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!",
        "#NV", "#BEZUG!", "#WERT!", "#N/D", "#\u00a1REF!", "#\u00a1VALOR!", "#\u00bfNOMBRE?",
    }
)  # fmt: skip
"""What programs, data bases and spreadsheets (English, German, Spanish) write where there is no value."""

LONGEST_MISSING = max(map(len, MISSING))
_SEEN = re.compile(f"[^\\s{''.join(INVISIBLE)}]")


def is_blank(text: str) -> bool:
    """Tell whether a text has no character that is seen."""
    return may_be_blank(text) and _SEEN.search(text) is None


def may_be_blank(text: str) -> bool:
    """Tell the same quickly; False is certain, True is not."""
    first = text.lstrip()[:1]
    return not first or first in INVISIBLE


def count_words(text: str) -> int:
    """Return how many words a text has, parted by white space, each with a character that is seen."""
    words = text.split()
    return len(words) if text.isascii() else sum(not is_blank(word) for word in words)


def is_missing(text: str) -> bool:
    """Tell whether a text is what stands for a value that is missing."""
    return len(text) <= LONGEST_MISSING and text in MISSING
