"""How things look: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from afinador.figures import NONE, size, text
from afinador.figures import count as count
from afinador.figures import duration as duration

_BLOCKS = "▁▂▃▄▅▆▇█"


ALWAYS_SHOWN = ("epochs", "learning_rate", "batch_size")
"""Hyperparameters that people look for, also where they are defaults."""


def result(text: str) -> None:
    """Write a result, a line or more, to standard output."""
    sys.stdout.write(f"{text}\n")


def result_now(text: str) -> None:
    """Write a result that is read while more of it comes."""
    result(text)
    sys.stdout.flush()


def remark(text: str) -> None:
    """Write what is no result to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def as_json(value: Any) -> None:
    """Write a value as JSON to standard output."""
    result(json.dumps(value, indent=2, ensure_ascii=False))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return columns under headings, each as wide as it must be; numbers stand to the right."""
    rows = [*rows]
    cells = [[text(value) for value in row] for row in rows]
    is_number = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(header))]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]

    def line(values: Sequence[str]) -> str:
        padded = [
            value.rjust(width) if number else value.ljust(width)
            for value, width, number in zip(values, widths, is_number, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(line(values) for values in [[word.upper() for word in header], *cells])


def fields(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return names and values; those without a value are left out, and further lines of a value stand below it."""
    shown = [(name, text(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    below = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {below.join(value.splitlines())}" for name, value in shown)


def moment(seconds: float | None) -> str:
    """Return Unix seconds as a local time."""
    return NONE if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def listing(found: list[dict[str, Any]], has_more: bool, shown_as_json: bool, header: Sequence[str], rows: Any) -> None:
    """Write a list: OpenAI's list object as JSON, or a table.

    Args:
        found: The objects.
        has_more: Whether there are further ones, which is then remarked.
        shown_as_json: JSON instead of a table.
        header: The table's headings.
        rows: Makes a row of an object.
    """
    if shown_as_json:
        as_json({"object": "list", "data": found, "has_more": has_more})
        return
    if found:
        result(table(header, [rows(item) for item in found]))
    else:
        remark("There are none.")
    if has_more:
        remark(f"There are more; --limit shows them, or --after {found[-1].get('id')}.")


def progress_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return how far a job is; nothing while it waits, for then its progress is that of an attempt before."""
    return {} if job["status"] in ("validating_files", "queued") else job.get("progress") or {}


def measuring(progress: dict[str, Any]) -> str:
    """Return how far the measuring of a model is; nothing while none is measured."""
    at = progress.get("measuring")
    return f"{at['model']} model, {at['done']} of {at['total']} {at['what']}" if at else ""


def status(job: dict[str, Any]) -> str:
    """Return a job's status, with its place in the line while it waits for its turn, and whether for a worker too."""
    position = job.get("queue_position")
    waits = [] if not position else ["next" if position == 1 else f"position {position}"]
    waits += ["no worker online"] if job.get("waiting_for") else []
    return f"{job['status']} ({', '.join(waits)})" if waits else str(job["status"])


def resources(used: dict[str, Any]) -> str:
    """Return what a job uses now: processor, memory, GPU."""
    parts = []
    if "cpu_percent" in used:
        parts.append(f"CPU {used['cpu_percent']:.0f} %")
    if "memory_bytes" in used:
        parts.append(size(used["memory_bytes"]))
    if "gpu_memory_bytes" in used:
        share = f"{used['gpu_utilization_percent']:.0f} %, " if "gpu_utilization_percent" in used else ""
        parts.append(f"GPU {share}{size(used['gpu_memory_bytes'])}")
    return " ".join(parts)


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return a curve of one line, the highest value as a whole block; of more values than ``width`` those in between go."""
    shown = spread(values, width)
    low, high = (min(shown), max(shown)) if shown else (0.0, 0.0)
    if low == high:
        return ""
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in shown)


def spread(values: Sequence[float], most: int) -> list[float]:
    """Return at most so many of the values, evenly taken, the first and the last among them."""
    if len(values) <= most:
        return [*values]
    return [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]


def how_to_resume(job: dict[str, Any]) -> str:
    """Return what makes a paused job go on."""
    return f"It goes on with: afinador resume fine-tuning-job {job['name']}"


def comparison_of(job: dict[str, Any]) -> str | None:
    """Return the table *base against tuned*, or None when a job was not evaluated."""
    metrics = job.get("metrics") or {}
    base, tuned = metrics.get("base"), metrics.get("tuned")
    if not isinstance(base, dict) or not isinstance(tuned, dict):
        return None
    names = [
        name for name in dict.fromkeys((*base, *tuned)) if isinstance(tuned.get(name, base.get(name)), int | float)
    ]
    rows = [(name.replace("_", " "), text(base.get(name)), text(tuned.get(name))) for name in names]
    untrained = " (untrained head)" if base.get("head") == "untrained" else ""
    return table(("metric", f"base{untrained}", "tuned"), rows)


def deleted(what: str, name: str, answer: dict[str, Any], shown_as_json: bool) -> None:
    """Write that something is gone."""
    if shown_as_json:
        as_json(answer)
    else:
        result(f"Deleted {what} {name}.")
