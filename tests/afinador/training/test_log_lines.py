"""The lines of several attempts, and of several ranks, are told apart."""

from __future__ import annotations

import logging
from pathlib import Path

from afinador.training.log_lines import LogLine, LogReader, line_format, open_attempt


def test_lines_belong_to_the_attempt_whose_heading_is_above_them(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.touch()
    open_attempt(log, 1, 0)
    with log.open("a") as stream:
        stream.write("one\nhalf a li")  # its writer was killed
    open_attempt(log, 2, 0)
    with log.open("a") as stream:
        stream.write("two\n")
    reader = LogReader()
    told = [reader.read(line) for line in log.read_text().splitlines()]
    assert [each.attempt for each in told] == [1, 1, 1, 2, 2]
    assert told[2] == LogLine("half a li", 1, 0) and told[4] == LogLine("two", 2, 0)


def test_each_line_names_its_rank_where_there_are_several() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "Now loading.", None, None)
    alone, third = (logging.Formatter(line_format(rank, ranks)).format(record) for rank, ranks in ((0, 1), (2, 4)))
    assert third == f"rank 2 | {alone}" and alone[:2] == "20"
    assert LogReader().read(third).rank == 2
