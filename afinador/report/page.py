"""The whole page of a job: what was asked, how it went, what came of it, and on what ground.

A pure function from data to text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from afinador.figures import duration, size, text
from afinador.report import sections
from afinador.report.charts import Curve, chart
from afinador.report.document import document, tiles
from afinador.report.markup import Markup, element
from afinador.report.record import JobRecord


def page(record: JobRecord) -> str:
    """Return the page of a job in whichever state; of one that has only begun it is short."""
    job = record.job
    parts = [
        ("Curves", _curves(record)),
        ("Evaluation", sections.evaluation(record)),
        ("What was asked", sections.asked(record)),
        ("Data", sections.data(record)),
        ("Times", sections.times(record)),
        ("Resources", _resources(record)),
        ("Published", sections.published(record)),
        ("Checkpoints", sections.checkpoints(record)),
        ("Attempts and recoveries", sections.attempts(record)),
        ("Reproducibility", sections.reproducibility(record)),
        ("Events", sections.events(record)),
    ]
    body = [element("section", element("h2", title), part) for title, part in parts if part]
    foot = element(
        "footer", f"Written by Afinador at {sections.moment(record.written_at)}. All times are UTC. Job {job.id}."
    )
    return document(f"{job.name}: {job.status}", _header(record), element("main", *body), foot)


def _header(record: JobRecord) -> Markup:
    job = record.job
    status = job.status.replace("_", " ")
    top = element("div", element("h1", job.name), element("span", status, class_=f"badge {job.status}"), class_="top")
    came = f"{job.tuning_method} of {job.model}"
    if record.published:
        came += f" → {record.published.name}, version {record.published.version}"
    return element("header", top, element("p", came, class_="soft"), _note(record), tiles(_tiles(record)))


def _note(record: JobRecord) -> Markup | None:
    """Why it failed, or what it waits for."""
    job = record.job
    if job.error is not None:
        return element("div", element("b", f"{job.error.code}: "), job.error.message, class_="callout")
    if job.status in ("validating_files", "queued", "pausing", "paused") and record.events:
        place = f"Position {job.queue_position} in the queue. " if job.queue_position else ""
        return element("div", place, record.events[-1].message, class_="callout wait")
    return None


def _tiles(record: JobRecord) -> list[tuple[str, str | None]]:
    job, progress = record.job, record.job.progress or {}
    base, tuned = job.metrics.get("base") or {}, job.metrics.get("tuned") or {}
    energy = energy_of(record.resources)
    return [
        ("loss, base → tuned", f"{_short(base['loss'])} → {_short(tuned['loss'])}" if base and tuned else None),
        ("last step's train loss", None if tuned else _number(progress.get("train_loss"))),
        ("steps", f"{progress['step']} of {progress['steps']}" if progress.get("steps") else None),
        ("trained tokens", f"{job.trained_tokens:,}" if job.trained_tokens else None),
        ("in all", duration(job.times.total_seconds)),
        ("in the queue", duration(job.times.queue_seconds)),
        ("training", _duration(job.times.phase_seconds.get("training"))),
        ("left", _duration(progress.get("eta_seconds")) if job.status == "running" else None),
        ("attempts", str(len(record.attempts)) if len(record.attempts) > 1 else None),
        ("energy of the GPU", None if energy is None else f"{energy:.1f} Wh"),
    ]


def _curves(record: JobRecord) -> Markup | None:
    rows = record.metrics
    drawn = [
        chart(
            "Loss",
            [_curve(rows, "train", "train_loss"), _curve(rows, "validation", "valid_loss")],
            x_name="step",
            shown=_short,
            may_be_logarithmic=True,
        ),
        chart("Learning rate", [_curve(rows, "learning rate", "learning_rate")], x_name="step", shown=_short),
        chart(
            "Accuracy", [_curve(rows, "train", "train_accuracy"), _curve(rows, "validation", "accuracy")], x_name="step"
        ),
        chart(
            "Gradient norm before clipping",
            [_curve(rows, "gradient norm", "grad_norm")],
            x_name="step",
            shown=_short,
            may_be_logarithmic=True,
        ),
        chart("Tokens per second", [_curve(rows, "tokens/s", "tokens_per_second")], x_name="step", shown=_short),
    ]
    return element("div", *drawn, class_="columns") if any(drawn) else None


def _resources(record: JobRecord) -> Markup | None:
    rows = record.resources
    if not rows:
        return None
    begin = rows[0].get("timestamp_ms", 0)
    timed = [{**row, "minutes": (row.get("timestamp_ms", begin) - begin) / 60_000} for row in rows]

    def drawn(title: str, names: dict[str, str], shown: Any) -> Markup | None:
        curves = [_curve(timed, name, key, x="minutes") for key, name in names.items()]
        return chart(title, curves, x_name="minutes", shown=shown)

    charts = [
        drawn("Processor, percent of one core", {"cpu_percent": "CPU"}, _short),
        drawn("Memory of the job's processes", {"memory_bytes": "memory"}, _size),
        drawn("Memory reserved on the GPU", {"gpu_memory_bytes": "memory"}, _size),
        drawn("GPU use, percent", {"gpu_utilization_percent": "GPU"}, _short),
        drawn("GPU power, watts", {"gpu_power_watts": "GPU"}, _short),
    ]
    return element("div", *charts, class_="columns") if any(charts) else None


def energy_of(rows: Sequence[dict[str, Any]]) -> float | None:
    """Return the watt hours of all attempts, each of which counts from 0; None where none was measured."""
    counted = [row["gpu_energy_watt_hours"] for row in rows if row.get("gpu_energy_watt_hours") is not None]
    if not counted:
        return None
    ends = [now for now, later in zip(counted, [*counted[1:], -1.0], strict=True) if later < now]
    return float(sum(ends))


def _curve(rows: Sequence[dict[str, Any]], name: str, key: str, x: str = "step") -> Curve:
    return Curve(name, [(row[x], row[key]) for row in rows if row.get(key) is not None and row.get(x) is not None])


def _number(value: Any) -> str | None:
    return text(value) if isinstance(value, int | float) else None


def _duration(seconds: float | None) -> str | None:
    return duration(seconds) if seconds else None


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _size(value: float) -> str:
    return size(round(value))
