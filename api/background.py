"""Work that goes on after the answer."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from afinador.errors import AfinadorError, ServiceUnavailableError

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
Work = Callable[[], object]

LANES = {"submit": 1, "check": 2, "fetch": 1}
"""Threads of each lane. A long download holds up no file's check, and neither of them a job's submission."""


class Background:
    """Runs functions one after the other in a few daemon threads.

    What is under way when the process ends is lost; whoever hands work in finds it again at the next start.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, queue.SimpleQueue[Work]] = {name: queue.SimpleQueue() for name in LANES}
        for name, count in LANES.items():
            for number in range(count):
                threading.Thread(target=self._work, args=(name,), name=f"{name}-{number}", daemon=True).start()

    def run(self, lane: str, function: Callable[..., object], *arguments: Any) -> None:
        """Queue a call on a lane (see ``LANES``); what it raises is logged."""
        self._lanes[lane].put(lambda: function(*arguments))

    def run_later(self, seconds: float, lane: str, function: Callable[..., object], *arguments: Any) -> None:
        """Queue a call when some time has passed."""
        timer = threading.Timer(seconds, self.run, (lane, function, *arguments))
        timer.daemon = True
        timer.start()

    def _work(self, lane: str) -> None:
        while True:
            work = self._lanes[lane].get()
            try:
                work()
            except AfinadorError as error:
                logger.warning("Background work (%s): %s", lane, error.message)
            except Exception:
                logger.exception("Background work (%s) failed", lane)


class Deferred(Generic[Value]):
    """A value that takes seconds to build, so that a thread builds it while the service answers already."""

    def __init__(self, build: Callable[[], Value], name: str) -> None:
        self._build, self._name = build, name
        self._lock = threading.Lock()
        self._value: Value | None = None

    def start(self, after_seconds: float = 0) -> None:
        """Begin to build, some time from now; whoever asks earlier need not wait for that."""
        timer = threading.Timer(after_seconds, self._try)
        timer.name, timer.daemon = f"build {self._name}", True
        timer.start()

    def _try(self) -> None:
        try:
            self.get()
        except ServiceUnavailableError as error:
            logger.warning("%s", error.message)

    def get(self, timeout_seconds: float = 20) -> Value:
        """Return the value, waiting while it is built; a build that failed is tried again.

        Raises:
            ServiceUnavailableError: It could not be built, or not in time.
        """
        if self._value is not None:
            return self._value
        if not self._lock.acquire(timeout=timeout_seconds):
            raise ServiceUnavailableError(f"{self._name} is still starting; try again in some seconds.")
        try:
            if self._value is None:
                self._value = self._build()
            return self._value
        except AfinadorError as error:
            raise ServiceUnavailableError(f"{self._name} is away: {error.message}") from error
        except Exception as error:
            logger.exception("%s could not be opened", self._name)
            raise ServiceUnavailableError(f"{self._name} is away; the service's log says why.") from error
        finally:
            self._lock.release()
