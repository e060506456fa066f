"""One part of the stack: a child process in a session of its own, watched, and started again when it dies."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deployments.processes import Group

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
STABLE_AFTER_SECONDS = 60.0
"""A part that has lived so long is started again without delay when it dies."""
_LOG_BYTES = 10_000_000

Phase = Literal["waiting", "starting", "ready", "dead"]


def backoff_seconds(deaths: int) -> float:
    """Return how long to wait before a part is started again after so many deaths in a row (from 1)."""
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (deaths - 1))


@dataclass
class Part:
    """A part of the stack.

    Attributes:
        name: One word; also the name of its log file.
        title: For people.
        command: What is run.
        needs: Names of the parts that must be ready before it is started.
        answers: Whether it can be used; None for a step that is ready once it has ended with exit code 0.
        url: Where people find it.
        skip: For a step: whether it has nothing to do.
        is_essential: Whether jobs need it.
        folder: Working directory.
        deaths: How often it has died in a row.
        groups: Process groups of all its starts; flows may outlive a worker that died.
    """

    name: str
    title: str
    command: list[str]
    folder: Path
    needs: tuple[str, ...] = ()
    answers: Callable[[], bool] | None = None
    url: str | None = None
    skip: Callable[[], bool] | None = None
    is_essential: bool = True
    phase: Phase = "waiting"
    deaths: int = 0
    seconds: float = 0.0
    has_been_ready: bool = False
    was_skipped: bool = False
    groups: list[Group] = field(default_factory=list)
    log_path: Path = Path()
    _process: subprocess.Popen[bytes] | None = None
    _since: float = 0.0
    _start_at: float = 0.0

    def start(self, environment: dict[str, str], logs: Path) -> None:
        """Start the child; its output is appended to ``PART.log``."""
        self._since = time.monotonic()
        self.log_path = logs / f"{self.name}.log"
        if self.skip is not None and self.skip():
            self.was_skipped = True
            self._become_ready()
            return
        _keep_log_short(self.log_path)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        self.groups.append(Group.of(self._process.pid))
        self.phase = "starting"

    @property
    def process_id(self) -> int | None:
        """Process id of the child; None when there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def may_start(self) -> bool:
        """Tell whether the delay after its last death is over."""
        return self.phase in ("waiting", "dead") and time.monotonic() >= self._start_at

    def look(self) -> Literal["ready", "died"] | None:
        """Return what has changed since the last look."""
        if self.phase not in ("starting", "ready") or (self.phase == "ready" and self._process is None):
            return None
        exit_code = self._process.poll() if self._process else 0
        if exit_code is not None:
            if self.answers is None and exit_code == 0:
                self._process = None
                return self._become_ready()
            return self._die()
        if self.phase == "starting" and self.answers is not None and self.answers():
            return self._become_ready()
        return None

    def _become_ready(self) -> Literal["ready"]:
        self.phase, self.has_been_ready = "ready", True
        self.seconds = time.monotonic() - self._since
        return "ready"

    def _die(self) -> Literal["died"]:
        was_stable = self.phase == "ready" and time.monotonic() - self._since > STABLE_AFTER_SECONDS
        self.deaths = 1 if was_stable else self.deaths + 1
        self.phase = "dead"
        self._start_at = time.monotonic() + self.delay_seconds
        self.groups = [group for group in self.groups if group.members()]
        return "died"

    @property
    def delay_seconds(self) -> float:
        """How long it stays dead."""
        return backoff_seconds(self.deaths)

    def exit_code(self) -> int | None:
        """Return the exit code of the last child that ended."""
        return self._process.returncode if self._process is not None else None

    def last_words(self) -> str:
        """Return the last lines of its log."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(line for line in lines[-8:] if line.strip())

    def reap(self) -> None:
        """Take the exit code of a child that was ended from outside."""
        if self._process is not None:
            self._process.poll()


def _keep_log_short(path: Path) -> None:
    """Move a long log aside; the one before it goes."""
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
