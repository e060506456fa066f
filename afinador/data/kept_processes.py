"""Processes of this package that answer what may not be done in this one, kept for the next one who asks.

The start of one takes a few tenths of a second, so that it is worth keeping; they end with whoever asked.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Pipe
from typing import Any

MOST_IDLE = 2
_SECONDS_TO_END = 5
_SECONDS_TO_STOP = 1


class KeptProcess:
    """One process; each question has one answer."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._connection, others = Pipe()
        descriptor = others.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(descriptor)],
            pass_fds=[descriptor],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what a process says that a forged file ends
        )
        others.close()

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, what: object) -> None:
        """Send a question; where the process has ended, the answer tells."""
        with contextlib.suppress(OSError):
            self._connection.send(what)

    def answer(self) -> Any:
        """Return what it answers.

        Raises:
            EOFError, OSError: It has ended.
        """
        return self._connection.recv()

    def can_drop_answer(self) -> bool:
        """Take the answer that is on its way and forget it; False where none comes soon."""
        try:
            return self._connection.poll(_SECONDS_TO_STOP) and bool(self._connection.recv_bytes())
        except (EOFError, OSError):
            return False

    def end(self) -> int:
        """Stop it, if it runs; return its code, which is minus the signal that ended it."""
        self._connection.close()
        self._process.kill()
        return self._process.wait(_SECONDS_TO_END)


class KeptProcesses:
    """Processes that wait for the next question, of this process and not of one that it was forked from.

    Args:
        module: What they run, with a descriptor as its argument.
        environment: Variables that they have beside ours.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._module, self._environment = module, environment or {}
        self._lock = threading.Lock()
        self._waiting: list[KeptProcess] = []
        self._owner = 0

    def take(self) -> KeptProcess:
        """Return one that waits, or a new one."""
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._waiting = os.getpid(), []
                atexit.register(self.end)
            while self._waiting:
                process = self._waiting.pop()
                if process.lives:
                    return process
                process.end()
        return KeptProcess(self._module, self._environment)

    def give_back(self, process: KeptProcess) -> None:
        """Keep one that waits for its next question, two at most."""
        with self._lock:
            if self._owner == os.getpid() and len(self._waiting) < MOST_IDLE:
                self._waiting.append(process)
                return
        process.end()

    def end(self) -> None:
        """Stop all that wait."""
        if self._owner == os.getpid():
            with self._lock:
                while self._waiting:
                    self._waiting.pop().end()
