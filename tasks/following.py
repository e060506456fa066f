"""Follow a run directory while it grows: events to the ledger, metrics to ledger and MLflow, checkpoints to storage."""

from __future__ import annotations

import logging
import time
from typing import Any

from sqlalchemy.orm import Session

from afinador.schemas.events import EventLevel
from afinador.schemas.jobs import PHASES
from afinador.training.checkpoints import FIGURES
from registry import jobs
from registry.job_life import checkpoints, events
from tasks import artifacts, trainer
from tasks.attempt import Attempt
from tasks.curves import Curves
from tasks.save_checkpoint import save_checkpoint, save_or_say, save_unsaved

logger = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.3
PROGRESS_SECONDS = 1.0
ARTIFACT_SECONDS = 4.0
_USED = ("cpu_percent", "memory_bytes", "gpu_memory_bytes", "gpu_utilization_percent", "gpu_energy_watt_hours")


class Follower:
    """Forwards what one run directory says, from the byte cursors that the ledger keeps.

    Every row may be forwarded twice (after a crash) and appears once: events by their sequence number, metrics by
    their step.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.cursors: dict[str, int] = dict(attempt.job().cursors or {})
        self.curves = Curves(attempt)
        self._is_caught_up = False
        self._progress_at = 0.0
        self._resources_cursor = 0
        self._resources: dict[str, Any] = {}
        self._artifact_at = 0.0
        self._has_link = False
        self._drawn_step: int | None = None
        attempt.take_over = lambda: self.forward(attempt.run.status() or {}, in_prefect=False)

    def follow_until(self, *states: str) -> None:
        """Forward until training reaches one of these states, or has ended well.

        Raises:
            TrainerDiedError: The process that trains died.
            AfinadorError: Training failed, with the reason that it wrote.
            StopRequestedError: Somebody asked the job to stop; training has been told.
        """
        while True:
            code = trainer.exit_code(self.attempt)  # before the look, so that the last rows are seen
            status = self.attempt.run.status() or {}
            self.forward(status)
            if code is not None:
                self.forward_progress(status, now=True)
                trainer.require_success(self.attempt, code)
                return
            if status.get("attempt") == self.attempt.number and status.get("state") in states:
                return
            time.sleep(FOLLOW_SECONDS)

    def forward(self, status: dict[str, Any], *, in_prefect: bool = True) -> None:
        """Forward everything that is new; ``in_prefect`` says whether Prefect still takes tasks of this run."""
        save = save_checkpoint if in_prefect else save_checkpoint.fn
        if status and not in_prefect:  # first: there may be no space for a checkpoint
            self._note_progress(status, goes_on=False)
        event_rows, event_cursor = self.attempt.run.events_after(self.cursors.get("events", 0))
        metric_rows, metric_cursor = self.attempt.run.metrics_after(self.cursors.get("metrics", 0))
        if event_rows or metric_rows:
            self._write_down(event_rows, metric_rows)
            for row in event_rows:
                if row["type"] == "checkpoint":
                    save_or_say(self.attempt, row["data"]["step"], save)
            self.cursors |= {"events": event_cursor, "metrics": metric_cursor}
            with self.attempt.memory.database.session() as session:
                jobs.set_fields(session, self.attempt.job_id, self.attempt.number, cursors=self.cursors)
        if not self._is_caught_up:
            self._is_caught_up = True
            save_unsaved(self.attempt, save)
        if in_prefect:
            self.forward_progress(status)

    def forward_progress(self, status: dict[str, Any], *, now: bool = False) -> None:
        """Write the progress down about once a second, and draw it in the Prefect UI every few seconds."""
        clock = time.monotonic()
        if status.get("attempt") != self.attempt.number:
            return
        if now or clock - self._progress_at > PROGRESS_SECONDS:
            self._progress_at = clock
            self._note_progress(status, goes_on=True)
        if now or clock - self._artifact_at > ARTIFACT_SECONDS:
            self._artifact_at = clock
            artifacts.show_progress(self.attempt, status)
            if (step := self.curves.last.get("step")) != self._drawn_step:
                self._drawn_step = step
                artifacts.show_losses(self.attempt)
            if self.curves.opened and not self._has_link:
                self._has_link = True
                artifacts.show_run(self.attempt, *self.curves.opened)

    def _note_progress(self, status: dict[str, Any], *, goes_on: bool) -> None:
        with self.attempt.memory.database.session() as session:
            progress = self._progress(status, goes_on=goes_on)
            jobs.set_progress(session, self.attempt.job_id, self.attempt.number, progress)

    def _progress(self, status: dict[str, Any], *, goes_on: bool) -> dict[str, Any]:
        shown = ("state", "step", "steps", "epoch", "tokens", "eta_seconds", "seconds_per_epoch", "measuring")
        rows, self._resources_cursor = self.attempt.run.resources_after(self._resources_cursor)
        if rows:
            self._resources = {key: rows[-1][key] for key in _USED if key in rows[-1]}
        return {key: status.get(key) for key in shown} | {
            "phase_seconds": _phase_seconds(status) if goes_on else status.get("phase_seconds") or {},
            "resources": self._resources,
            "train_loss": status.get("train_loss", self.curves.last.get("train_loss")),
            "valid_loss": self.curves.last.get("valid_loss"),
        }

    def _write_down(self, event_rows: list[dict[str, Any]], metric_rows: list[dict[str, Any]]) -> None:
        """Write both journals' rows down as one story, in the order in which they happened."""
        with self.attempt.memory.database.session() as session:
            for row in sorted([*event_rows, *metric_rows], key=_seconds):
                if row.get("type") == "failure":  # the end of the job tells it
                    logger.error(row["message"])
                elif "message" in row:
                    self._write_event(session, row)
                else:
                    self._write_measurement(session, row)
        self.curves.add(metric_rows)

    def _write_event(self, session: Session, row: dict[str, Any]) -> None:
        logger.info(row["message"])
        if ground := (row.get("data") or {}).get("environment"):
            jobs.set_fields(session, self.attempt.job_id, self.attempt.number, environment=ground)
        level: EventLevel = row.get("level", "info")
        events.append(
            session,
            self.attempt.job_id,
            row["message"],
            level=level,
            type=row["type"],
            data=row.get("data") or {},
            created_at=_seconds(row),
            dedup_key=events.journal_key(row),
        )

    def _write_measurement(self, session: Session, row: dict[str, Any]) -> None:
        kind = "valid" if "valid_loss" in row else "train"
        events.append(
            session,
            self.attempt.job_id,
            _sentence(row),
            type="metrics",
            data=row,
            created_at=_seconds(row),
            dedup_key=f"metrics:{row['step']}:{kind}",
        )
        if kind == "valid":  # a checkpoint saved in the middle of its evaluation is measured later
            figures = {name: row[name] for name in FIGURES if name in row}
            checkpoints.add_figures(session, self.attempt.job_id, row["step"], figures)


def _phase_seconds(status: dict[str, Any]) -> dict[str, float]:
    """Return how long each phase took; of the one that goes on also since training has last written its status."""
    seconds = dict(status.get("phase_seconds") or {})
    phase = status.get("state")
    if phase in PHASES and "heartbeat_at" in status:
        running = max(0.0, time.time() - status["heartbeat_at"])
        seconds[phase] = round(seconds.get(phase, 0.0) + running, 3)
    return seconds


def _seconds(row: dict[str, Any]) -> float:
    seconds: float = row["timestamp_ms"] / 1000
    return seconds


def _sentence(row: dict[str, Any]) -> str:
    losses = [f"{name.replace('_', ' ')}={row[name]:.4f}" for name in ("train_loss", "valid_loss") if name in row]
    return f"Step {row['step']}: {', '.join(losses)}"
