"""Progress bars for bytes and records on their way, where standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bytes_bar(title: str, *, is_shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told bytes done and bytes in all; without a terminal it shows nothing."""
    if not (is_shown and sys.stderr.isatty()):
        yield lambda done_bytes, total_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done_bytes, total_bytes: progress.update(task, completed=done_bytes, total=total_bytes)


@contextmanager
def rows_bar(lines: Callable[[], int | None], *, is_shown: bool = True) -> Iterator[Callable[[str, int], None]]:
    """Yield a function that is told how far reading and writing are; without a terminal it shows nothing.

    Args:
        lines: Counts what there is to read, None where only reading tells; asked where the bar is shown.
        is_shown: False shows nothing on a terminal either.
    """
    if not (is_shown and sys.stderr.isatty()):
        yield lambda stage, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    totals = {"reading": lines(), "writing": None}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {stage: progress.add_task(stage, total=total) for stage, total in totals.items()}
        yield lambda stage, done: progress.update(tasks[stage], completed=done)
