"""The formats of data sets, their encodings and what they are good for, as they are named everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Literal

Format = Literal["csv", "json", "jsonl", "text", "parquet", "arrow", "folder", "custom"]
"""``folder`` is an archive too; ``custom`` is what a function of the operator reads."""

Encoding = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]

LEAST_LENGTH, MOST_LENGTH = 8, 131_072
"""Of ``max_length``, in tokens."""
HUB_SCHEME = "hf://"
"""Begins the name of a data set of the Hugging Face Hub: ``hf://owner/name[:config][@revision]``."""

NONE = "none"
"""Declares that there is no such character."""

STORED_ONLY = "stored_only"
"""Code of the note on a data set that no training method takes yet."""


def fitness(errors: Sized, note_codes: Iterable[str]) -> str:
    """Return what a data set is good for, as the end of a sentence that begins with its name."""
    if len(errors):
        return "cannot be trained on"
    return (
        "is checked and stored; no training method takes it yet" if STORED_ONLY in note_codes else "can be trained on"
    )
