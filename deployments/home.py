"""The home of a stack: one supervisor at a time, and a record of what it has started."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from afinador.errors import ConfigurationError
from deployments import processes
from deployments.processes import Group

_GRACE_SECONDS = 8
_PRIVATE = 0o700


class Home:
    """The folder of all local state, held by one supervisor.

    Args:
        path: The folder; made if it is absent, and closed to other users, for data sets and the ledger lie in it.

    Raises:
        ConfigurationError: Another supervisor holds it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        try:
            path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            if _is_ours(path):
                path.chmod(_PRIVATE)
            self.logs.mkdir(exist_ok=True)
            self._lock: IO[str] = (path / "up.lock").open("a+")
        except OSError as error:
            raise ConfigurationError(
                f"The home {path} cannot be written ({error.strerror}); name another with --home or AFINADOR_HOME."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(self._who_holds_it()) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    @property
    def record_path(self) -> Path:
        """``stack.json``: URLs, processes and log files of the stack, for others to read."""
        return self.path / "stack.json"

    def _who_holds_it(self) -> str:
        self._lock.seek(0)
        holder = self._lock.read().strip() or "of unknown number"
        urls = ", ".join(f"{name} {url}" for name, url in self.read_record().get("urls", {}).items())
        return (
            f"Afinador is up already on {self.path} (process {holder}{'; ' + urls if urls else ''}): "
            f"use it, stop it with `kill {holder}`, or start another with --home."
        )

    def read_record(self) -> dict[str, Any]:
        """Return what the last supervisor recorded; empty if there was none or it is unreadable."""
        try:
            record = json.loads(self.record_path.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace the record, readable by the owner alone."""
        temporary = self.record_path.with_suffix(".part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(record, stream, indent=2)
        temporary.rename(self.record_path)

    def end_leftovers(self) -> int:
        """End what a supervisor that was killed has left running, and return how many processes that were.

        They are known by process group, start time and home, never by name. Trainers see that their flow is gone, and
        end with a checkpoint by themselves.
        """
        groups = [Group(int(group["id"]), float(group["started_at"])) for group in self.read_record().get("groups", [])]
        leftovers = [process for group in groups for process in group.members_of_home(self.path)]
        processes.end(leftovers, grace_seconds=_GRACE_SECONDS)
        return len(leftovers)

    def release(self) -> None:
        """Give the home free."""
        self.record_path.unlink(missing_ok=True)
        self._lock.close()


def _is_ours(path: Path) -> bool:
    """Tell whether a folder may be closed to others: it was a home before, or is empty. Somebody may name /tmp."""
    return path.stat().st_uid == os.getuid() and ((path / "up.lock").exists() or not any(path.iterdir()))
