"""Parts of a file of JSON Lines in UTF-8, each of whole lines, that can be judged apart from each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from afinador.data.checks.findings import Findings
from afinador.data.checks.judging import Judge
from afinador.data.checks.personal_data import may_be_personal
from afinador.data.checks.proofs import prove
from afinador.data.files.lines import BYTE_ORDER_MARK, LONGEST_LINE_BYTES, Part, bounded_lines, parts_of
from afinador.data.files.readers import record_of_raw_line

BLOCK_BYTES = 2**20
BLOCKS_ALL_SEARCHED = 16
ONE_BLOCK_SEARCHED_OF = 64
"""The first blocks are all looked at closely, of later ones one in so many."""


@dataclass(frozen=True)
class Block(Part):
    """A part of a file.

    Attributes:
        closely: Whether to look for personal data and near duplicates in it.
    """

    closely: bool


def is_searched(number: int) -> bool:
    """Tell whether the block of a number (from 0) is looked at closely: all of a small file, a sample of a large one."""
    return number < BLOCKS_ALL_SEARCHED or number % ONE_BLOCK_SEARCHED_OF == 0


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the parts of a file of lines, in order; of a line that is too long no more than a block is held."""
    for number, part in enumerate(parts_of(path, BLOCK_BYTES)):
        yield Block(part.offset, part.size, part.first_line, is_searched(number))


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON Lines in UTF-8, and the checks of its records."""

    path: Path
    judge: Judge

    def blocks(self) -> Iterator[Block]:
        """Yield the parts of the file, in order."""
        return blocks_of(self.path)

    def findings(self, block: Block) -> Findings:
        """Return what there is to say about the records of a part."""
        found = Findings()
        with self.path.open("rb") as file:
            file.seek(block.offset)
            if block.size > 2 * BLOCK_BYTES:
                _judge_long_lines(file, block, self.judge, found)
                self.judge.finish(found)
                return found
            raw = file.read(block.size)
        for number, (line, proven) in enumerate(prove(raw, self.judge.shape), start=block.first_line):
            if proven is None or (block.closely and may_be_personal(proven.parts)):
                _judge_line(number, line, self.judge, found, block.closely)
            else:
                found.take(number, proven, closely=block.closely)
                if self.judge.shape == "text":
                    found.characters += proven.characters
        self.judge.finish(found)
        return found


def _judge_long_lines(file: BinaryIO, block: Block, judge: Judge, findings: Findings) -> None:
    number = block.first_line
    left = block.size
    for line in bounded_lines(file):
        _judge_line(number, line, judge, findings, block.closely)
        number += 1
        left -= len(line)
        if left <= 0 or len(line) > LONGEST_LINE_BYTES:
            return  # one that is too long is the last of its block


def _judge_line(number: int, raw: bytes, judge: Judge, findings: Findings, closely: bool) -> None:
    found = record_of_raw_line(number, raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw)
    if found is not None:
        judge.judge(found, findings, closely=closely)
