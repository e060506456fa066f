"""The folder of one run: the whole contract between a training process and whoever watches it.

``docs/training.md`` describes every file. Documents are replaced whole (temporary name, fsync, rename); journals are
only ever appended to, one line a row, and may be followed with a byte cursor while they grow.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from afinador.config.spec import FineTuningSpec
from afinador.errors import InvalidRequestError, TrainingError
from afinador.training.journals import append_row, journal_of, now_ms, rows_after
from afinador.wording import complaint

logger = logging.getLogger(__name__)

REQUESTS = ("pause", "cancel", "hold")
"""What ``control.json`` may ask for; all of them stop the process after the step it is in."""

_LOCK_RETRY_SECONDS = 0.2
TIMES = {"timestamp_ms", "tokens_per_second"}
"""What of a measurement is another one each time."""
_LOG_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True)
class Control:
    """What the service asks of the trainer.

    Attributes:
        attempt: The attempt that may write here; a process of an older one stops.
        request: One of ``REQUESTS``, or None.
    """

    attempt: int
    request: str | None


class RunDir:
    """Reads and writes the files of one run.

    Args:
        path: The folder; made when something is written first.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._measured: dict[tuple[int, bool], dict[str, Any]] | None = None
        self._differs = False
        self._writing = threading.RLock()

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def final(self) -> Path:
        """Folder of what is published."""
        return self.path / "final"

    @property
    def log(self) -> Path:
        """The story of the run, line by line, and whatever else the training process and its libraries print."""
        return self.path / "log.txt"

    # Documents

    def spec(self) -> FineTuningSpec:
        """Return the specification.

        Raises:
            InvalidRequestError: ``spec.json`` is missing or does not hold a specification.
        """
        try:
            return FineTuningSpec.model_validate_json((self.path / "spec.json").read_bytes())
        except ValidationError as error:
            said = complaint(error)[1]
            raise InvalidRequestError(f"{self.path / 'spec.json'} holds no specification of a run: {said}") from error
        except OSError as error:
            raise InvalidRequestError(f"{self.path / 'spec.json'} cannot be read: {error}") from error

    def write_spec(self, spec: FineTuningSpec) -> None:
        """Write the specification."""
        self.write_document("spec.json", spec.model_dump(mode="json"))

    def read_control(self) -> Control | None:
        """Return what the service asks for, or None if it never wrote anything."""
        document = self.read_document("control.json")
        if document is None:
            return None
        return Control(attempt=int(document.get("attempt") or 0), request=document.get("request"))

    def write_control(self, attempt: int, request: str | None) -> None:
        """Say which attempt may run, and what it is asked for.

        Raises:
            InvalidRequestError: ``request`` is neither None nor one of ``REQUESTS``.
        """
        if request is not None and request not in REQUESTS:
            raise InvalidRequestError(f"{request!r} is no request to a training process; there are: {REQUESTS}.")
        self.write_document("control.json", {"attempt": attempt, "request": request})

    def write_status(self, *, attempt: int, state: str, **fields: Any) -> None:
        """Say how far the run is.

        Args:
            attempt: Number of the attempt that writes.
            state: starting, loading, training, saving, evaluating, done, failed or stopped.
            **fields: step, steps, epoch, tokens, eta_seconds, train_loss, valid_loss; while a model is measured ``measuring``:
                {model, what, done, total}.
        """
        self.write_document(
            "status.json",
            {"attempt": attempt, "state": state, **fields, "process_id": os.getpid(), "heartbeat_at": time.time()},
        )

    def status(self) -> dict[str, Any] | None:
        """Return how far the run is, or None before it started."""
        return self.read_document("status.json")

    def result(self) -> dict[str, Any] | None:
        """Return how the run ended, or None if it did not."""
        return self.read_document("result.json")

    def write_result(self, **fields: Any) -> None:
        """Say how the run ended: the last thing that a training process writes."""
        self.write_document("result.json", fields)

    def evaluation(self) -> dict[str, Any] | None:
        """Return the figures of base and tuned model, or None before they were measured."""
        return self.read_document("evaluation.json")

    def read_document(self, name: str) -> dict[str, Any] | None:
        """Return a document of this folder, or None if it is not there."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def write_document(self, name: str, document: dict[str, Any]) -> None:
        """Replace a document of this folder; readers see the old one or the new one, whole."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, json.dumps(document, ensure_ascii=False, indent=1) + "\n")

    def remove_document(self, name: str) -> None:
        """Remove a document if it is there."""
        (self.path / name).unlink(missing_ok=True)

    # Journals

    def log_event(self, type: str, level: str, message: str, *, once: str | None = None, **data: Any) -> None:
        """Append an event, and say it to the log too; safe in threads.

        Args:
            type: ``message``, ``model_loaded``, ``checkpoint``, ``epoch``, ``evaluation`` or ``failure``.
            level: info, warn or error.
            message: For people.
            once: What the event is about; a second one about the same is left out, also one of a later attempt.
            **data: For programs.
        """
        with self._writing:
            rows, _ = rows_after(self.path / "events.jsonl", 0)
            if once is not None and any(row.get("once") == once for row in rows):
                return
            sequence = 1 + max((row["sequence"] for row in rows), default=0)
            event = {"sequence": sequence, "type": type, "level": level, "message": message}
            if once is not None:
                event["once"] = once
            self._append("events.jsonl", {**event, "timestamp_ms": now_ms(), "data": data})
        logger.log(_LOG_LEVELS[level], "%s", message)

    def log_metrics(self, row: dict[str, Any]) -> bool:
        """Append the measurements of a step, unless the journal holds them already.

        A row with ``valid_loss`` and one without are two different rows of a step. The time is that of the call. A
        step that an earlier attempt has measured is compared instead; an event says so, once, where it differs.

        Returns:
            Whether the row was written.
        """
        if self._measured is None:
            self._measured = {_place(old): old for old in self.metrics_after(0)[0]}
        known = self._measured.get(_place(row))
        if known is not None:
            self._compare(known, row)
            return False
        self._measured[_place(row)] = row
        self._append("metrics.jsonl", {**row, "timestamp_ms": now_ms()})
        return True

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        other = {
            key: (before[key], now[key]) for key in (before.keys() & now.keys()) - TIMES if before[key] != now[key]
        }
        if not other or self._differs:
            return
        self._differs = True
        said = ", ".join(f"{key} was {old!r} and is {new!r}" for key, (old, new) in sorted(other.items()))
        self.log_event(
            "message",
            "warn",
            f"Step {now['step']} was made again and is not the same: {said}. From here on this run is exact in the order of its data only.",
            step=now["step"],
        )

    def log_resources(self, row: dict[str, Any]) -> None:
        """Append what the process uses."""
        self._append("resources.jsonl", {**row, "timestamp_ms": now_ms()})

    def events_after(self, cursor: int) -> tuple[list[dict[str, Any]], int]:
        """Return the events behind a byte cursor, and the cursor behind them; whole lines only."""
        return rows_after(self.path / "events.jsonl", cursor)

    def metrics_after(self, cursor: int) -> tuple[list[dict[str, Any]], int]:
        """Return the measurements behind a byte cursor, and the cursor behind them; whole lines only."""
        return rows_after(self.path / "metrics.jsonl", cursor)

    def resources_after(self, cursor: int) -> tuple[list[dict[str, Any]], int]:
        """Return the resource rows behind a byte cursor, and the cursor behind them; whole lines only."""
        return rows_after(self.path / "resources.jsonl", cursor)

    def sync_journals(self) -> None:
        """Flush events and measurements to the disk."""
        for name in ("events.jsonl", "metrics.jsonl"):
            if (self.path / name).exists():
                sync(self.path / name)
        sync(self.path)

    def restore_journals(self, **journals: list[dict[str, Any]]) -> dict[str, int]:
        """Write ``events`` or ``metrics`` anew, or both, and return the cursors behind them by the same names."""
        cursors = {}
        for name, rows in journals.items():
            write_atomically(self.path / f"{name}.jsonl", journal_of(rows))
            cursors[name] = (self.path / f"{name}.jsonl").stat().st_size
        return cursors

    def _append(self, name: str, row: dict[str, Any]) -> None:
        with self._writing:
            append_row(self.path / name, row)

    @contextmanager
    def locked(self, timeout_seconds: float) -> Iterator[None]:
        """Hold the folder for this process; the lock goes with the process, however it ends.

        Raises:
            TrainingError: Another process still holds it after the timeout.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_seconds
        with (self.path / "lock").open("w") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TrainingError(
                            f"Another process trains in {self.path} and has not stopped for {timeout_seconds:.0f} s. "
                            "Stop it, or use another run directory.",
                            code="run_directory_in_use",
                        ) from None
                    time.sleep(_LOCK_RETRY_SECONDS)
            yield


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name, flush it to the disk and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(row: dict[str, Any]) -> tuple[int, bool]:
    return row["step"], "valid_loss" in row
