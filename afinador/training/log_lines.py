"""Whose line of ``log.txt`` is whose: a heading opens each attempt, and with several ranks each line names its own.

::

    === attempt 2, rank 0, 2026-11-21 21:22:03 UTC ===
    2026-11-21 21:22:04,118 INFO Now loading.
    rank 1 | 2026-11-21 21:22:04,121 INFO Now loading.        only where several ranks train
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from afinador.training.journals import ends_with_newline

_HEADING = re.compile(r"=== attempt (\d+), rank (\d+), .* ===")
_RANK = re.compile(r"rank (\d+) \| ")


@dataclass(frozen=True)
class LogLine:
    """A line, and who wrote it; attempt and rank are None before the first heading."""

    line: str
    attempt: int | None
    rank: int | None


class LogReader:
    """Tells whose lines are whose; give it a log from its beginning, in order."""

    def __init__(self) -> None:
        self._attempt: int | None = None
        self._rank: int | None = None

    def read(self, line: str) -> LogLine:
        """Return a line with its attempt and rank; a heading belongs to the attempt that it opens."""
        if heading := _HEADING.fullmatch(line):
            self._attempt, self._rank = int(heading[1]), int(heading[2])
        named = _RANK.match(line)
        return LogLine(line, self._attempt, int(named[1]) if named else self._rank)


def open_attempt(log: Path, attempt: int, rank: int) -> None:
    """Append the heading of an attempt, on a line of its own whatever a killed process has left."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    with log.open("ab+") as stream:
        begin = "" if not stream.tell() or ends_with_newline(log) else "\n"
        stream.write(f"{begin}=== attempt {attempt}, rank {rank}, {moment} ===\n".encode())


def line_format(rank: int, ranks: int) -> str:
    """Return the format of log lines, for ``logging``, of one of so many ranks."""
    named = f"rank {rank} | " if ranks > 1 else ""
    return f"{named}%(asctime)s %(levelname)s %(message)s"
