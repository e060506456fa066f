"""Follow a job on the screen: a progress bar where there is a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from afinador.cli import render
from afinador.client import following
from afinador.client.connection import Connection

PLAIN_SECONDS = 10.0
"""Without a terminal, a line of progress comes at most so often."""
PLAIN_LOSSES = 6
"""So many numbers of the curve stand in such a line."""


class Screen(Protocol):
    """Where a job is shown while it goes on."""

    def __enter__(self) -> Screen:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def event(self, event: dict[str, Any]) -> None:
        """Show something that happened."""

    def remark(self, sentence: str) -> None:
        """Show what concerns the watching itself."""

    def job(self, job: dict[str, Any], losses: Sequence[float] = ()) -> None:
        """Show how far the job is; ``losses`` are those logged so far, oldest first."""


class BarScreen:
    """A progress bar with step, loss and time left; events scroll above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=False,
        )
        self._task = self._progress.add_task("", total=None, figures="")

    def __enter__(self) -> BarScreen:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: dict[str, Any]) -> None:
        """Show something that happened, above the bar."""
        colour = {"warn": "yellow", "error": "red"}.get(event["level"], "")
        line = escape(_event_line(event))
        self._progress.console.print(f"[{colour}]{line}[/]" if colour else line, highlight=False, soft_wrap=True)

    def remark(self, sentence: str) -> None:
        """Show a sentence above the bar."""
        self._progress.console.print(escape(sentence), highlight=False, soft_wrap=True)

    def job(self, job: dict[str, Any], losses: Sequence[float] = ()) -> None:
        """Move the bar, and draw the losses behind it."""
        progress = render.progress_of(job)
        steps = progress.get("steps")
        self._progress.update(
            self._task,
            description=_state(job),
            completed=progress.get("step") or 0,
            total=steps or (1 if following.has_ended(job) else None),
            figures=", ".join(filter(None, (_figures(job), render.sparkline(losses)))),
        )


class PlainScreen:
    """Lines on standard error."""

    def __init__(self) -> None:
        self._last = ""
        self._shown_at = float("-inf")

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def event(self, event: dict[str, Any]) -> None:
        """Write something that happened."""
        render.remark(_event_line(event))

    def remark(self, sentence: str) -> None:
        """Write a sentence."""
        render.remark(sentence)

    def job(self, job: dict[str, Any], losses: Sequence[float] = ()) -> None:
        """Write how far the job is, and some of its losses as numbers, when that has changed and not too often."""
        state, figures = _state(job), _figures(job)
        line = f"{state}: {figures}" if figures else state
        is_due = time.monotonic() - self._shown_at >= PLAIN_SECONDS or state != self._last.partition(":")[0]
        if line != self._last and is_due:
            way = " > ".join(f"{loss:.3g}" for loss in render.spread(losses, PLAIN_LOSSES))
            render.remark(f"{line} (loss {way})" if len(losses) > 1 else line)
            self._last, self._shown_at = line, time.monotonic()


def screen_for(console: Console | None = None) -> Screen:
    """Return a bar where standard error is a terminal, else plain lines."""
    console = console or Console(stderr=True)
    return BarScreen(console) if console.is_terminal and not console.is_dumb_terminal else PlainScreen()


def show(connection: Connection, job: str, screen: Screen | None = None) -> dict[str, Any]:
    """Show a job until it has ended, and return it as it ended.

    Args:
        connection: Where to ask.
        job: Id or name.
        screen: Where to show it; standard error by default.
    """
    state: dict[str, Any] = {}
    losses: list[float] = []
    with screen or screen_for() as shown:

        def on_presence(is_there: bool) -> None:
            shown.remark("It answers again." if is_there else "The service does not answer; trying again.")

        for look in following.follow(connection, job, on_presence=on_presence):
            was_paused, state = state.get("status") == "paused", look.job
            for event in look.events:
                if event["type"] == "message":
                    shown.event(event)
                elif isinstance(event["data"].get("train_loss"), int | float):
                    losses.append(event["data"]["train_loss"])
            shown.job(state, losses)
            if state["status"] == "paused" and not was_paused:
                shown.remark(render.how_to_resume(state))
    return state


def watch(connection: Connection, job: str, *, shown_as_json: bool = False) -> int:
    """Show a job until it has ended, then its result, and return the exit code: 0 when it succeeded."""
    try:
        state = show(connection, job)
    except KeyboardInterrupt:
        render.remark(f"The job goes on; see it again with: afinador watch {job}")
        raise
    if shown_as_json:
        render.as_json(state)
    elif comparison := render.comparison_of(state):
        render.result(comparison)
    render.remark(ending_of(state))
    return 0 if state["status"] == "succeeded" else 1


def ending_of(job: dict[str, Any]) -> str:
    """Return one sentence on how a job ended."""
    took = render.duration((job.get("finished_at") or time.time()) - job["created_at"])
    if job["status"] == "succeeded":
        output = (job.get("spec") or {}).get("output") or {}
        kind, name = output.get("kind", "model"), output.get("name") or job.get("output_model")
        return f"Job {job['name']} succeeded in {took}. Its result: afinador get hub-{kind} {name} --download DIR"
    reason = (job.get("error") or {}).get("message")
    return f"Job {job['name']} {'was cancelled' if job['status'] == 'cancelled' else 'failed'} after {took}." + (
        f" {reason}" if reason else ""
    )


def _state(job: dict[str, Any]) -> str:
    state = render.progress_of(job).get("state")
    return str(state) if job["status"] == "running" and state else render.status(job)


def _figures(job: dict[str, Any]) -> str:
    progress = render.progress_of(job)
    step, steps = progress.get("step"), progress.get("steps")
    figures = [f"step {step}/{steps}" if steps else ""]
    figures += [
        f"{label} {progress[key]:.4f}"
        for label, key in (("loss", "train_loss"), ("validation", "valid_loss"))
        if isinstance(progress.get(key), int | float)
    ]
    figures.append(render.measuring(progress) if job["status"] == "running" else "")
    figures.append(render.resources(progress.get("resources") or {}))
    if progress.get("eta_seconds") and job["status"] == "running":
        figures.append(f"{render.duration(progress['eta_seconds'])} left")
    return ", ".join(figure for figure in figures if figure)


def _event_line(event: dict[str, Any]) -> str:
    clock = datetime.fromtimestamp(event["created_at"]).strftime("%H:%M:%S")
    level = "" if event["level"] == "info" else f"{event['level']}: "
    return f"{clock}  {level}{event['message']}"
