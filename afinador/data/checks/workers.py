"""Processes that judge the blocks of a large file, and the way to and from them.

They are started as a module of their own and not by multiprocessing, which would import the program's main module once
more, whatever that is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe, wait
from typing import Protocol

from afinador.data.checks.findings import Findings
from afinador.data.checks.line_blocks import Block

MOST_PROCESSES = 4
"""More are of no use: the one that adds up is busy then."""

_WAITING_PER_WORKER = 2
_SECONDS_TO_END = 5


def processes_for(blocks: int) -> int:
    """Return how many processes are worth their start for so many blocks; 1 means none but this one."""
    return 1 if blocks < 32 else min(MOST_PROCESSES, len(os.sched_getaffinity(0)))


class Divisible(Protocol):
    """A file whose parts can be judged apart from each other."""

    def blocks(self) -> Iterator[Block]:
        """Yield the parts, in order."""

    def findings(self, block: Block) -> Findings | None:
        """Return what was found in a part; None where it turns out to be no part by itself."""


def judged(file: Divisible, processes: int) -> Iterator[tuple[Block, Findings | None]]:
    """Yield the blocks of a file with what was found in each, in their order.

    Args:
        file: The file with its checks.
        processes: 1 for this one alone; else so many others do the work. What one of them leaves undone because it
            was ended, this one does.
    """
    if processes == 1:
        for block in file.blocks():
            yield block, file.findings(block)
        return
    workers = [_Worker(file) for _ in range(processes)]
    try:
        yield from _shared(file, workers)
    finally:
        for worker in workers:
            worker.end()


def _shared(file: Divisible, workers: list[_Worker]) -> Iterator[tuple[Block, Findings | None]]:
    blocks = file.blocks()
    order: deque[Block] = deque()
    done: dict[Block, Findings | None] = {}
    is_last = False
    while True:
        for worker in workers:
            while not is_last and len(worker.given) < _WAITING_PER_WORKER and len(order) < 4 * len(workers):
                block = next(blocks, None)
                is_last = block is None
                if block is not None:
                    order.append(block)
                    worker.give(block)
        while order and order[0] in done:
            yield order[0], done.pop(order.popleft())
        if not order:
            if is_last:
                return
            continue
        if order[0] in done:
            continue
        for worker in _answering(workers):
            done.update(worker.answer())
        for lost in [block for worker in workers for block in worker.lost()]:
            done[lost] = file.findings(lost)


def _answering(workers: list[_Worker]) -> list[_Worker]:
    by_connection = {worker.connection: worker for worker in workers if worker.given}
    return [by_connection[connection] for connection in wait(list(by_connection)) if isinstance(connection, Connection)]


class _Worker:
    """One process, and the blocks that it was given and has not answered yet."""

    def __init__(self, file: Divisible) -> None:
        self.connection, others = Pipe()
        self.given: deque[Block] = deque()
        self._is_lost = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(others.fileno())], pass_fds=[others.fileno()], stdin=subprocess.DEVNULL
        )
        others.close()
        self._send(file)

    def give(self, block: Block) -> None:
        self.given.append(block)
        self._send(block)

    def answer(self) -> dict[Block, Findings | None]:
        try:
            findings = self.connection.recv()
        except (EOFError, OSError):
            self._is_lost = True
            return {}
        return {self.given.popleft(): findings}

    def lost(self) -> list[Block]:
        """Return the blocks that will not be answered any more."""
        if not self._is_lost:
            return []
        blocks = list(self.given)
        self.given.clear()
        return blocks

    def end(self) -> None:
        self.connection.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, which the answer tells
            self.connection.send(what)


def main(descriptor: int) -> None:
    """Answer blocks with what was found in each, until the connection is closed."""
    with Connection(descriptor) as connection, contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        file = connection.recv()
        while True:
            connection.send(file.findings(connection.recv()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
