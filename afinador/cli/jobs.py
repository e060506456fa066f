"""Commands on fine-tuning jobs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from afinador.cli import creation, render
from afinador.cli.command import Command, Parser
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.errors import NotFoundError

if TYPE_CHECKING:
    from afinador.client.connection import Connection

_WAITING = ("validating_files", "queued", "pausing", "paused")


def _add_job(parser: Parser) -> None:
    parser.add_argument("job", metavar="JOB", help="id or name")


def _add_job_and_list(parser: Parser) -> None:
    _add_job(parser)
    add_list_options(parser)


def _add_list_options(parser: Parser) -> None:
    add_list_options(parser)
    parser.add_argument("--status", metavar="STATUS", help="only those, for example running")


def list_jobs(arguments: argparse.Namespace) -> None:
    """Show the newest jobs."""
    found, has_more = ask_list(calls.list_jobs(arguments.status), arguments)
    header = ("name", "status", "progress", "base model", "method", "created", "result")
    render.listing(found, has_more, arguments.json, header, _row)


def _row(job: dict[str, Any]) -> tuple[Any, ...]:
    result = job.get("output_model") if job["status"] == "succeeded" else None
    created = render.moment(job["created_at"])
    return (job["name"], render.status(job), progress_of(job), job["base_model"], job["tuning_method"], created, result)


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
        news = _newest_message(connection, job) if job["status"] in _WAITING else None
    render.result(render.fields(_facts(job, result, news)))
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


def _facts(job: dict[str, Any], result: dict[str, Any] | None, news: str | None) -> list[tuple[str, Any]]:
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
        ("train loss", progress.get("train_loss")),
        ("validation loss", progress.get("valid_loss")),
        ("time left", render.duration(progress["eta_seconds"]) if is_going and progress.get("eta_seconds") else None),
        ("base model", job["base_model"]),
        ("dataset", job["dataset"]),
        ("validation", job.get("validation_file")),
        ("method", job["tuning_method"]),
        ("hyperparameters", _hyperparameters(job)),
        ("trained tokens", job.get("trained_tokens")),
        ("created", render.moment(job["created_at"])),
        ("finished", None if is_open else render.moment(ended)),
        ("took", None if is_open else render.duration(ended - job["created_at"])),
        ("result", result and f"{result['name']}, version {result['version']} of the hub-{result['kind']}"),
        ("also named", job.get("fine_tuned_model")),
        ("lies in", _place(job, result)),
        ("Prefect page", job.get("run_url")),
    ]


def cancel_job(arguments: argparse.Namespace) -> None:
    """Ask a job to stop for good."""
    job = ask(calls.cancel_job(arguments.job))
    if arguments.json:
        render.as_json(job)
    elif job["status"] == "cancelled":
        render.result(f"Job {job['name']} is cancelled.")
    else:
        render.result(f"Job {job['name']} is {job['status']}; it stops after its current step.")


def pause_job(arguments: argparse.Namespace) -> None:
    """Ask a job to stop at a checkpoint."""
    job = ask(calls.pause_job(arguments.job))
    if arguments.json:
        render.as_json(job)
    elif job["status"] == "paused":
        render.result(f"Job {job['name']} is paused. {render.how_to_resume(job)}")
    else:
        render.result(f"Job {job['name']} is {job['status']}; it stops after its current step and keeps a checkpoint.")


def resume_job(arguments: argparse.Namespace) -> None:
    """Ask a paused job to go on."""
    job = ask(calls.resume_job(arguments.job))
    if arguments.json:
        render.as_json(job)
    elif job["status"] == "pausing":
        render.result(f"Job {job['name']} is still pausing; it goes on as soon as it has stopped.")
    else:
        render.result(f"Job {job['name']} is {job['status']}. Follow it with: afinador watch {job['name']}")


def list_events(arguments: argparse.Namespace) -> None:
    """Show what happened in a job, newest first."""
    found, has_more = ask_list(calls.list_events(arguments.job), arguments)
    render.listing(
        found, has_more, arguments.json, ("time", "level", "message"),
        lambda event: (render.moment(event["created_at"]), event["level"], event["message"]),
    )  # fmt: skip


def show_log(arguments: argparse.Namespace) -> None:
    """Show what the training process wrote."""
    with connect() as connection:
        if not arguments.follow:
            render.result(connection.text(calls.job_logs(arguments.job)).rstrip("\n"))
            return
        from afinador.client.following import follow_log

        for line in follow_log(connection, arguments.job):
            render.result_now(line)


def _add_log_options(parser: Parser) -> None:
    _add_job(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="go on as lines are written, until the job ends")


def watch_job(arguments: argparse.Namespace) -> int:
    """Follow a job until it has ended."""
    from afinador.cli.watching import watch

    with connect() as connection:
        return watch(connection, arguments.job, shown_as_json=arguments.json)


COMMANDS = (
    *creation.COMMANDS,
    Command(
        ("list", "fine-tune-job"), "List fine-tuning jobs, newest first", list_jobs, _add_list_options,
        examples=("afinador list fine-tune-job", "afinador list jobs --status running --json"),
    ),
    Command(
        ("get", "fine-tuning-job"), "Show a job's status, progress, metrics and where its result lies", get_job, _add_job,
        examples=("afinador get fine-tuning-job bot-1a2b3c", "afinador get job ftjob-… --json"),
    ),
    Command(
        ("cancel", "fine-tuning-job"), "Cancel a job; it stops after its current step", cancel_job, _add_job,
        examples=("afinador cancel fine-tuning-job bot-1a2b3c",),
    ),
    Command(
        ("pause", "fine-tuning-job"), "Pause a job; it stops at a checkpoint and frees its device", pause_job, _add_job,
        examples=("afinador pause fine-tuning-job bot-1a2b3c",),
        details="A job that waits is paused at once, one that runs after its current step.",
    ),
    Command(
        ("resume", "fine-tuning-job"), "Resume a paused job; it is queued and goes on", resume_job, _add_job,
        examples=("afinador resume fine-tuning-job bot-1a2b3c",),
        details="One that is still pausing goes on as soon as it has stopped; one that waits or runs is left as it is.",
    ),
    Command(
        ("watch",), "Follow a job until it has ended, then compare base and tuned model", watch_job, _add_job,
        examples=("afinador watch bot-1a2b3c", "afinador watch bot-1a2b3c --json > job.json"),
        details="Exit code 0 when it succeeded, else 1.",
    ),
    Command(
        ("logs",), "Show a job's log", show_log, _add_log_options, prints=False,
        examples=("afinador logs bot-1a2b3c", "afinador logs bot-1a2b3c --follow"),
    ),
    Command(
        ("list", "event"), "List what happened in a job, newest first", list_events, _add_job_and_list,
        examples=("afinador list event bot-1a2b3c",),
    ),
)  # fmt: skip
