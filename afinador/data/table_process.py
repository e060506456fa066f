"""Asks a process with limited memory for the rows of Parquet and Arrow files; ``table_rows`` says why.

A process is started by the first file and kept for the next one, for its start takes half a second: as long as reading
some hundred thousand rows.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any, Literal

from afinador.errors import DataError

TableFormat = Literal["Parquet", "Arrow"]

MOST_IDLE = 2
_SECONDS_TO_END = 5
_SECONDS_TO_STOP = 1
# Arrow's own allocator reserves more memory than it uses, which a limit counts.
_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system"}


def answers(what: TableFormat, path: Path) -> Generator[Any, None, None]:
    """Yield what ``datasets`` has written of the columns into a table, and then its rows in lists.

    Raises:
        DataError: It is damaged, too large, takes too much memory, or ends the process that reads it.
    """
    process = _idle.take()
    is_ready = False
    try:
        process.ask((what, str(path)))
        while True:
            answer = process.answer(what)
            if answer is None:
                is_ready = True
                return
            if isinstance(answer, tuple):
                is_ready = not answer[1]
                raise DataError(answer[0])
            process.ask(None)
            try:
                yield answer
            except GeneratorExit:  # nobody wants the rest; what was asked for already is on its way
                is_ready = process.can_drop_answer()
                raise
    finally:
        _idle.give_back(process) if is_ready else process.end()


class _TableProcess:
    """One process; each question has one answer."""

    def __init__(self) -> None:
        self._connection, others = Pipe()
        descriptor = others.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "afinador.data.table_rows", str(descriptor)],
            pass_fds=[descriptor],
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what a process says that a forged file ends
        )
        others.close()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ask(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, which the answer tells
            self._connection.send(what)

    def answer(self, what: str) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise DataError(
                f"The file could not be read as {what}: it ended the process that reads such files, as only damaged or "
                "hostile ones do. Write it again."
            ) from error

    def can_drop_answer(self) -> bool:
        try:
            return self._connection.poll(_SECONDS_TO_STOP) and bool(self._connection.recv_bytes())
        except (EOFError, OSError):
            return False

    def end(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait(_SECONDS_TO_END)


class _Idle:
    """Processes that wait for the next file, of this process and not of one that it was forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_TableProcess] = []
        self._owner = 0

    def take(self) -> _TableProcess:
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._waiting = os.getpid(), []
                atexit.register(self.end)
            while self._waiting:
                process = self._waiting.pop()
                if process.lives:
                    return process
                process.end()
        return _TableProcess()

    def give_back(self, process: _TableProcess) -> None:
        with self._lock:
            if self._owner == os.getpid() and len(self._waiting) < MOST_IDLE:
                self._waiting.append(process)
                return
        process.end()

    def end(self) -> None:
        if self._owner == os.getpid():
            with self._lock:
                while self._waiting:
                    self._waiting.pop().end()


_idle = _Idle()
