"""Work on the parts of something large, shared among processes, with the results in the order of the parts.

They are started as a module of their own and not by multiprocessing, which would import the program's main module once
more, whatever that is. One is started; when it has imported what the work needs, and before it does any, it forks the others:
imports take as long as many parts do. Until they answer, the process that asks does the first parts itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Generic, TypeVar

from afinador.model_index import keep_index_of_models

MOST_PROCESSES = 4
"""More are of no use: the one that adds up is busy then."""

_KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""By itself glibc gives the megabytes of a part back to the system, to take them anew, page by page, for the next."""

_SECONDS_TO_END = 5
_SECONDS_TO_WAIT = 1.0

Part = TypeVar("Part")
Result = TypeVar("Result")


def processors() -> int:
    """Return how many processes may compute at once: all processors, or the share that a job was given of them."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    here = len(os.sched_getaffinity(0))
    return min(MOST_PROCESSES, here, int(share) if share.isdigit() and int(share) else here)


def in_order(
    work: Callable[[Part], Result],
    parts: Iterable[Part],
    processes: int,
    *,
    ahead: int = 1,
    waiting: Callable[[], None] | None = None,
) -> Generator[tuple[Part, Result]]:
    """Yield parts with what became of each, in their order; no more of them are held than the processes work on.

    Args:
        work: Can be pickled, as parts and results can; of what it raises elsewhere this process hears by doing that
            part itself.
        parts: Asked for one by one.
        processes: 1 for this one alone; else so many others do the work, and this one while they start. What one of
            them leaves undone because it was ended, or could not do for an error, this one does in its turn.
        ahead: How many parts each is given at once. More than one only of parts that are small: a process that sends a
            large result and one that sends it a large part would wait for each other.
        waiting: Is called about once a second while nothing comes.
    """
    if processes == 1:
        for part in parts:
            yield part, work(part)
        return
    family, left = _Family(work, processes), iter(parts)
    try:
        while not family.has_started():
            try:
                part = next(left)
            except StopIteration:
                return
            yield part, work(part)
        yield from _shared(work, left, family.workers, ahead, waiting)
    finally:
        family.end()


def _shared(
    work: Callable[[Part], Result],
    parts: Iterator[Part],
    workers: list[_Worker[Part, Result]],
    ahead: int,
    waiting: Callable[[], None] | None,
) -> Iterator[tuple[Part, Result]]:
    order: deque[tuple[int, Part]] = deque()
    done: dict[int, Result] = {}
    lost: set[int] = set()
    number, is_last = 0, False
    while True:
        # Those that have ended are asked only where there are no others: for this one to do the part.
        for worker in [worker for worker in workers if not worker.is_lost] or workers:
            while not is_last and len(worker.given) < ahead and len(order) < 4 * len(workers):
                try:
                    part = next(parts)
                except StopIteration:
                    is_last = True
                    break
                order.append((number, part))
                worker.give(number, part)
                number += 1
        while order and (order[0][0] in done or order[0][0] in lost):
            first, part = order.popleft()
            yield part, done.pop(first) if first in done else work(part)
        if not order:
            if is_last:
                return
            continue
        answering = _answering(workers)
        if not answering and waiting is not None:
            waiting()
        for worker in answering:
            done.update(worker.answer())
        lost.update(number for worker in workers for number in worker.lost())


def _answering(workers: list[_Worker[Part, Result]]) -> list[_Worker[Part, Result]]:
    by_connection = {worker.connection: worker for worker in workers if worker.given}
    ready = wait(list(by_connection), _SECONDS_TO_WAIT)
    return [by_connection[connection] for connection in ready if isinstance(connection, Connection)]


class _Family(Generic[Part, Result]):
    """Processes that do the same work: one that is started, and those that it forks.

    Attributes:
        workers: Each of them.
    """

    def __init__(self, work: Callable[[Part], Result], processes: int) -> None:
        ends = [Pipe() for _ in range(processes)]
        theirs = [other.fileno() for _, other in ends]
        self.workers: list[_Worker[Part, Result]] = [_Worker(ours) for ours, _ in ends]
        self._has_started = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, theirs)],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            env={**_KEEPING_MEMORY, **os.environ},
        )
        for _, other in ends:
            other.close()
        self.workers[0].send(work)

    def has_started(self) -> bool:
        """Tell whether all of them can be given parts, or the first has ended before."""
        first = self.workers[0].connection
        if not self._has_started and first.poll():
            with contextlib.suppress(EOFError, OSError):
                first.recv()
            self._has_started = True
        return self._has_started

    def end(self) -> None:
        for worker in self.workers:
            worker.connection.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Worker(Generic[Part, Result]):
    """One process, and the numbers of the parts that it was given and has not answered yet."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.given: deque[int] = deque()
        self.is_lost = False

    def give(self, number: int, part: Part) -> None:
        self.given.append(number)
        self.send(part)

    def answer(self) -> dict[int, Result]:
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            self.is_lost = True
            return {}
        return {self.given.popleft(): result}

    def lost(self) -> list[int]:
        """Return the numbers of the parts that will not be answered any more."""
        if not self.is_lost:
            return []
        numbers = list(self.given)
        self.given.clear()
        return numbers

    def send(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, which the answer tells
            self.connection.send(what)


def main(descriptors: list[int]) -> None:
    """Do the work that comes over the first connection, and fork a process that does it for each of the others."""
    keep_index_of_models()  # the work may be tokenising
    first, *others = [Connection(descriptor) for descriptor in descriptors]
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        work: Callable[[Any], Any] = first.recv()
        forked = []
        while others:
            connection = others.pop()
            if not (child := os.fork()):
                for other in (first, *others):
                    other.close()  # or nobody would hear of it that one of them has ended
                answer(connection, work)
                os._exit(0)
            forked.append(child)
            connection.close()
        first.send(None)
        answer(first, work)
        first.close()
        for child in forked:
            os.waitpid(child, 0)
    os._exit(0)  # what it holds the system takes back faster than Python


def answer(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Answer parts with what became of each, until the connection is closed, or one cannot be worked on."""
    with contextlib.suppress(BaseException):  # of a part whoever gave it meets the same error, and can say more of it
        while True:
            connection.send(work(connection.recv()))


if __name__ == "__main__":
    main([int(descriptor) for descriptor in sys.argv[1:]])
