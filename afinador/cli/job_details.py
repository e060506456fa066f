"""One fine-tuning job, as ``get fine-tuning-job`` shows it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.files import named
from afinador.cli.service import connect
from afinador.client import calls
from afinador.errors import NotFoundError

if TYPE_CHECKING:
    from afinador.client.connection import Connection

_WAITING = ("validating_files", "queued", "pausing", "paused")


def progress_of(job: dict[str, Any]) -> str | None:
    """Return ``step/steps`` with the percentage, or None before the first step."""
    progress = render.progress_of(job)
    step, steps = progress.get("step"), progress.get("steps")
    return f"{step}/{steps} ({100 * step // steps} %)" if steps and step is not None else None


def get_job(arguments: argparse.Namespace) -> None:
    """Show one job: state, progress, metrics, and where its result lies."""
    with connect() as connection:
        job = connection.json(calls.get_job(arguments.job))
        if arguments.json:
            render.as_json(job)
            return
        result = _result_of(connection, job)
        data = {field: _data_set(connection, job, field) for field in ("training_file", "validation_file")}
        news = _newest_message(connection, job) if job["status"] in _WAITING else None
    render.result(render.fields(_facts(job, result, news, data)))
    if comparison := render.comparison_of(job):
        render.result(f"\n{comparison}")
    if job["status"] == "paused":
        render.remark(f"\n{render.how_to_resume(job)}")
    if result:
        render.remark(f"\nFetch it with: afinador get hub-{result['kind']} {result['name']} --download DIR")


def _result_of(connection: Connection, job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the version in the hub that a job made, or None when there is none, or none any more."""
    output = (job.get("spec") or {}).get("output")
    if job["status"] != "succeeded" or not output:
        return None
    try:
        return connection.json(calls.get_hub(output["kind"], output["alias"]))
    except NotFoundError:
        return None


def _newest_message(connection: Connection, job: dict[str, Any]) -> str | None:
    newest = connection.json(calls.list_events(job["id"]).with_params(limit=20))["data"]
    return next((str(event["message"]) for event in newest if event["type"] == "message"), None)


def _hyperparameters(job: dict[str, Any]) -> str:
    """Return those that somebody chose, with who it was, and those that matter most; one a line."""
    spec = job.get("spec") or {}
    values, sources = spec.get("hyperparameters") or job.get("hyperparameters") or {}, spec.get("sources") or {}
    if "seed" in sources:
        values = {**values, "seed": job["seed"]}
    chosen = {name for name, source in sources.items() if source != "default"}
    lines = []
    for name, value in values.items():
        if name in chosen:
            lines.append(f"{name} {render.text(value)} ({sources[name]})")
        elif name in render.ALWAYS_SHOWN:
            lines.append(f"{name} {render.text(value)}")
    if len(values) > len(lines):
        lines.append("All others are defaults; --json shows them.")
    return "\n".join(lines)


def _place(job: dict[str, Any], result: dict[str, Any] | None) -> str | None:
    if result:
        return f"{result['uri']} in MLflow\n{result['path']} in the storage" if result.get("path") else result["uri"]
    return "no longer in the hub" if job["status"] == "succeeded" else None


def _status(job: dict[str, Any]) -> str:
    phase = render.progress_of(job).get("state")
    return f"{job['status']} ({phase})" if phase and job["status"] == "running" else render.status(job)


def _data_set(connection: Connection, job: dict[str, Any], field: str) -> str | None:
    if job.get(field) is None:
        return None
    return named(connection, job[field], ((job.get("spec") or {}).get(field) or {}).get("name"))


def _facts(
    job: dict[str, Any], result: dict[str, Any] | None, news: str | None, data: dict[str, str | None]
) -> list[tuple[str, Any]]:
    progress = render.progress_of(job)
    ended = job.get("finished_at")
    is_open, is_going = ended is None, job["status"] == "running"
    return [
        ("name", job["name"]),
        ("id", job["id"]),
        ("status", _status(job)),
        ("newest event", news),
        ("error", (job.get("error") or {}).get("message")),
        ("progress", progress_of(job)),
        ("measuring", render.measuring(progress) if is_going else None),
        ("last step's train loss", progress.get("train_loss")),
        ("validation loss", progress.get("valid_loss")),
        ("time left", render.duration(progress["eta_seconds"]) if is_going and progress.get("eta_seconds") else None),
        ("base model", job["base_model"]),
        ("dataset", data["training_file"]),
        ("validation", data["validation_file"]),
        ("method", job["tuning_method"]),
        ("hyperparameters", _hyperparameters(job)),
        ("trained tokens", job.get("trained_tokens")),
        ("created", render.moment(job["created_at"])),
        ("finished", None if is_open else render.moment(ended)),
        ("took", None if is_open else render.duration(ended - job["created_at"])),
        *_times(job.get("times") or {}),
        ("result", result and f"{result['name']}, version {result['version']} of the hub-{result['kind']}"),
        ("also named", job.get("fine_tuned_model")),
        ("lies in", _place(job, result)),
        ("Prefect page", job.get("run_url")),
    ]


def _times(times: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return what of the job's time was no work, and how the work was spent."""
    phases = [f"{name} {render.duration(seconds)}" for name, seconds in (times.get("phase_seconds") or {}).items()]
    epochs = [render.duration(seconds) for seconds in times.get("seconds_per_epoch") or []]
    waits = [("in the queue", times.get("queue_seconds")), ("paused", times.get("paused_seconds"))]
    return [
        *((name, render.duration(seconds) if seconds else None) for name, seconds in waits),
        ("phases", ", ".join(phases)),
        ("epochs", ", ".join(epochs)),
    ]
