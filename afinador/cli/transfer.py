"""Progress bars for bytes and records on their way, where standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


@contextmanager
def bytes_bar(title: str, *, is_shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told bytes done and bytes in all; without a terminal it shows nothing."""
    if not _is_seen(is_shown):
        yield lambda done_bytes, total_bytes: None
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _one_bar(title, DownloadColumn(), TransferSpeedColumn()) as update:
        yield update


@contextmanager
def records_bar(title: str, *, is_shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told records done and records in all; without a terminal it shows nothing."""
    if not _is_seen(is_shown):
        yield lambda done, total: None
        return
    from rich.progress import MofNCompleteColumn

    with _one_bar(title, MofNCompleteColumn()) as update:
        yield update


def _is_seen(is_shown: bool) -> bool:
    return is_shown and sys.stderr.isatty()


@contextmanager
def _one_bar(title: str, *figures: ProgressColumn) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), *figures, TimeRemainingColumn(compact=True))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def rows_bar(lines: Callable[[], int | None], *, is_shown: bool = True) -> Iterator[Callable[[str, int], None]]:
    """Yield a function that is told how far reading and writing are; without a terminal it shows nothing.

    Args:
        lines: Counts what there is to read, None where only reading tells; asked where the bar is shown.
        is_shown: False shows nothing on a terminal either.
    """
    if not _is_seen(is_shown):
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
