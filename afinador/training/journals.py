"""Files that only grow, one JSON object a line, and may be followed with a byte cursor while they do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append one line; what a killed process has left of another one is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = journal_of([row])
    with path.open("ab+") as stream:
        if stream.tell() and not ends_with_newline(path):
            line = "\n" + line  # readers leave the rest of a line out
        stream.write(line.encode())


def journal_of(rows: list[dict[str, Any]]) -> str:
    """Return rows as a journal holds them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def rows_after(path: Path, cursor: int) -> tuple[list[dict[str, Any]], int]:
    """Return the rows behind a byte cursor, and the cursor behind them; whole lines only, none of a missing file."""
    try:
        with path.open("rb") as stream:
            stream.seek(cursor)
            block = stream.read()
    except FileNotFoundError:
        return [], cursor
    whole = block[: block.rfind(b"\n") + 1]
    rows = []
    for line in whole.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # the rest of a line whose writer was killed
    return rows, cursor + len(whole)


def now_ms() -> int:
    """Return the time as journals write it: Unix milliseconds."""
    return time.time_ns() // 1_000_000


def ends_with_newline(path: Path) -> bool:
    """Tell whether the last line of a file, which is not empty, was written to its end."""
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
