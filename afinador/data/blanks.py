"""Texts that hold nothing: no character that is seen, or the word of a program for a value that is missing."""

from __future__ import annotations

import re

INVISIBLE = frozenset("\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff")
"""Characters without width that are no white space to Python."""

MISSING = frozenset(
    {
        "NaN", "nan", "NA", "NULL", "null", "None", "<NA>", "NaT", "undefined", "N/A",
        "#N/A", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!",
    }
)  # fmt: skip
"""What spreadsheets and programs write where there is no value."""

LONGEST_MISSING = max(map(len, MISSING))
_SEEN = re.compile(f"[^\\s{''.join(INVISIBLE)}]")


def is_blank(text: str) -> bool:
    """Tell whether a text has no character that is seen."""
    return _SEEN.search(text) is None


def may_be_blank(text: str) -> bool:
    """Tell the same quickly; False is certain, True is not."""
    first = text.lstrip()[:1]
    return not first or first in INVISIBLE


def is_missing(text: str) -> bool:
    """Tell whether a text is what stands for a value that is missing."""
    return len(text) <= LONGEST_MISSING and text in MISSING
