"""Process groups: told apart from strangers that got the same number, and ended without leaving anybody behind."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Group:
    """A process group that we made.

    Attributes:
        id: Process id of its first process.
        started_at: When that process started, in Unix seconds.
    """

    id: int
    started_at: float

    @classmethod
    def of(cls, process_id: int) -> Group:
        """Describe the group that this process leads; it must not have been waited for."""
        return cls(process_id, psutil.Process(process_id).create_time())

    def to_json(self) -> dict[str, float]:
        """Return it as it is recorded."""
        return asdict(self)

    def members(self) -> list[psutil.Process]:
        """Return its living processes."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) != self.id or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.create_time() >= self.started_at - 1:
                    found.append(process)
            except (psutil.Error, ProcessLookupError, PermissionError):
                continue  # it has just ended, or is not ours
        return found

    def members_of_home(self, home: Path) -> list[psutil.Process]:
        """Return its living processes that work for this home: the number may have been given to a stranger since."""
        return [process for process in self.members() if _home_of(process) == str(home)]


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("AFINADOR_HOME")
    except psutil.Error:
        return None


def descendants(groups: list[Group]) -> list[psutil.Process]:
    """Return all processes that were started, directly or not, by the members of some groups; members included.

    Those that left their group, such as trainers in a session of their own, are among them.
    """
    found: dict[int, psutil.Process] = {}
    for group in groups:
        for member in group.members():
            found[member.pid] = member
            try:
                found.update({child.pid: child for child in member.children(recursive=True)})
            except psutil.NoSuchProcess:
                continue
    return list(found.values())


def end(processes: list[psutil.Process], *, grace_seconds: float) -> None:
    """Ask processes to end (SIGTERM), and kill those that still live after ``grace_seconds``."""
    _signal(processes, signal.SIGTERM)
    _signal(wait_for_end(processes, timeout_seconds=grace_seconds), signal.SIGKILL)
    wait_for_end(processes, timeout_seconds=5)


def wait_for_end(processes: list[psutil.Process], *, timeout_seconds: float) -> list[psutil.Process]:
    """Wait until none of the processes lives, and return those that do after ``timeout_seconds``."""
    deadline = time.monotonic() + timeout_seconds
    while (living := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return living


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)  # looks at the start time first
        except psutil.NoSuchProcess:
            continue
