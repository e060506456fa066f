"""The blocks of a large file, judged by several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from afinador.data.checks.findings import Findings
from afinador.data.checks.line_blocks import Block
from afinador.data.processes import in_order, processors

_BLOCKS_WORTH_A_START = 32


def processes_for(blocks: int) -> int:
    """Return how many processes are worth their start for so many blocks; 1 means none but this one."""
    return 1 if blocks < _BLOCKS_WORTH_A_START else processors()


class Divisible(Protocol):
    """A file whose parts can be judged apart from each other."""

    def blocks(self) -> Iterator[Block]:
        """Yield the parts, in order."""

    def findings(self, block: Block) -> Findings | None:
        """Return what was found in a part; None where it turns out to be no part by itself."""


def judged(file: Divisible, processes: int) -> Iterator[tuple[Block, Findings | None]]:
    """Yield the blocks of a file with what was found in each, in their order; see ``afinador.data.processes.in_order``."""
    return in_order(file.findings, file.blocks(), processes, ahead=2)
