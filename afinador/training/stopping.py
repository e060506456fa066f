"""When a training process should stop before it is done: asked to, superseded, or left alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from afinador.errors import InvalidRequestError
from afinador.training.run_dir import RunDir

EXIT_DISK_FULL = 74
EXIT_STOPPED = 75
"""Exit code of a training process that stopped here."""
_TOLERANCE_SECONDS = 1.0
"""Start times of a process, read twice, may differ by a clock tick."""


class Stopped(Exception):
    """The run stops here; it may be started again."""


@dataclass(frozen=True)
class FlowProcess:
    """The process that started the training and watches it."""

    process_id: int
    created_at: float

    @classmethod
    def parse(cls, text: str) -> FlowProcess:
        """Read ``PID:CREATE_TIME``, the time as psutil gives it.

        Raises:
            InvalidRequestError: The text is something else.
        """
        try:
            process_id, created_at = text.split(":")
            return cls(int(process_id), float(created_at))
        except ValueError as error:
            raise InvalidRequestError(f"--flow-process is {text!r}; it must be PID:CREATE_TIME.") from error

    def is_alive(self) -> bool:
        """Return whether it still runs; a new process with a re-used id does not count."""
        try:
            process = psutil.Process(self.process_id)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(process.create_time() - self.created_at) <= _TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return False


class StopSign:
    """Looked at after every step and between batches of the evaluation.

    Args:
        run_dir: Its ``control.json`` may ask to stop, or name a newer attempt.
        attempt: The attempt of this process; None obeys every request and knows no newer attempt.
        flow_process: Who must stay alive; None for a run that nobody watches.
        orphan_timeout_seconds: How long it may be gone.
        stop_after: Optimizer step after which the run stops, at the latest after the last one; None for no such step.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        attempt: int | None = None,
        flow_process: FlowProcess | None = None,
        orphan_timeout_seconds: float = 30.0,
        stop_after: int | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._attempt = attempt
        self._flow_process = flow_process
        self._orphan_timeout_seconds = orphan_timeout_seconds
        self._stop_after = stop_after
        self._alone_since: float | None = None
        self._reason: str | None = None

    def ask(self, reason: str) -> None:
        """Stop at the next look; safe in a signal handler."""
        self._reason = reason

    def raise_if_asked(self, steps_done: float = 0) -> None:
        """Go on, or stop.

        Args:
            steps_done: Optimizer steps that are behind us, where that is to be looked at; infinite after the last one.

        Raises:
            Stopped: Somebody asked for it, a newer attempt runs, or nobody watches any more; the message says which.
        """
        reason = self._reason or self._control() or self._orphaned() or self._reached(steps_done)
        if reason is not None:
            raise Stopped(reason)

    def _control(self) -> str | None:
        control = self._run_dir.read_control()
        if control is None:
            return None
        if self._attempt is not None and control.attempt > self._attempt:
            return f"attempt {control.attempt} has taken over from attempt {self._attempt}"
        if control.request is not None and (self._attempt is None or control.attempt == self._attempt):
            return f"{control.request} was requested"
        return None

    def _orphaned(self) -> str | None:
        if self._flow_process is None or self._flow_process.is_alive():
            self._alone_since = None
            return None
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since < self._orphan_timeout_seconds:
            return None
        return f"the flow (process {self._flow_process.process_id}) is gone"

    def _reached(self, steps_done: float) -> str | None:
        if self._stop_after is None or steps_done < self._stop_after:
            return None
        return f"it was to stop after step {self._stop_after}"
