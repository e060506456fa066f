"""The formats of data sets and their encodings, as they are named everywhere."""

from __future__ import annotations

from typing import Literal

Format = Literal["csv", "json", "jsonl", "text", "parquet", "arrow", "folder", "custom"]
"""``folder`` is an archive too; ``custom`` is what a function of the operator reads."""

Encoding = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]
