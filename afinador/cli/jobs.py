"""Commands on fine-tuning jobs."""

from __future__ import annotations

import argparse
from typing import Any

from afinador.cli import creation, render
from afinador.cli.command import Command, Parser
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.errors import NotFoundError


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
    return (job["name"], job["status"], progress_of(job), job["base_model"], job["tuning_method"], created, result)


def progress_of(job: dict[str, Any]) -> str | None:
    """Return ``step/steps`` with the percentage, or None before the first step."""
    progress = job.get("progress") or {}
    step, steps = progress.get("step"), progress.get("steps")
    return f"{step}/{steps} ({100 * step // steps} %)" if steps and step is not None else None


def get_job(arguments: argparse.Namespace) -> None:
    """Show one job: state, progress, metrics, and where its result lies."""
    with connect() as connection:
        job = connection.json(calls.get_job(arguments.job))
        if arguments.json:
            render.as_json(job)
            return
        output = (job.get("spec") or {}).get("output") or {}
        place = None
        if job["status"] == "succeeded" and output:
            try:
                place = connection.json(calls.get_hub(output["kind"], output["name"]))["uri"]
            except NotFoundError:
                place = "no longer in the hub"
    render.result(render.fields(_facts(job, place)))
    if comparison := render.comparison_of(job):
        render.result(f"\n{comparison}")
    if place and place != "no longer in the hub":
        render.remark(f"\nFetch it with: afinador get hub-{output['kind']} {output['name']} --download DIR")


def _facts(job: dict[str, Any], place: str | None) -> list[tuple[str, Any]]:
    progress = job.get("progress") or {}
    ended = job.get("finished_at")
    is_open = ended is None
    return [
        ("name", job["name"]),
        ("id", job["id"]),
        ("status", job["status"]),
        ("error", (job.get("error") or {}).get("message")),
        ("state", progress.get("state") if is_open else None),
        ("progress", progress_of(job)),
        ("train loss", progress.get("train_loss")),
        ("validation loss", progress.get("valid_loss")),
        ("time left", render.duration(progress["eta_seconds"]) if is_open and progress.get("eta_seconds") else None),
        ("base model", job["base_model"]),
        ("dataset", job["dataset"]),
        ("validation", job.get("validation_file")),
        ("method", job["tuning_method"]),
        ("hyperparameters", job.get("hyperparameters")),
        ("trained tokens", job.get("trained_tokens")),
        ("created", render.moment(job["created_at"])),
        ("finished", None if is_open else render.moment(ended)),
        ("took", None if is_open else render.duration(ended - job["created_at"])),
        (
            "result",
            job.get("fine_tuned_model") and f"{job.get('output_model') or ''} {job['fine_tuned_model']}".strip(),
        ),
        ("lies in", place),
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


def list_events(arguments: argparse.Namespace) -> None:
    """Show what happened in a job, newest first."""
    found, has_more = ask_list(calls.list_events(arguments.job), arguments)
    render.listing(
        found, has_more, arguments.json, ("time", "level", "message"),
        lambda event: (render.moment(event["created_at"]), event["level"], event["message"]),
    )  # fmt: skip


def list_checkpoints(arguments: argparse.Namespace) -> None:
    """Show a job's checkpoints, newest first."""
    found, has_more = ask_list(calls.list_checkpoints(arguments.job), arguments)
    render.listing(
        found, has_more, arguments.json, ("step", "created", "train loss", "validation loss", "id"),
        lambda each: (
            each["step_number"], render.moment(each["created_at"]), each["metrics"].get("train_loss"),
            each["metrics"].get("valid_loss"), each["id"],
        ),
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
        examples=("afinador get fine-tuning-job bert-qa-1a2b3c", "afinador get job ftjob-… --json"),
    ),
    Command(
        ("cancel", "fine-tuning-job"), "Cancel a job; it stops after its current step", cancel_job, _add_job,
        examples=("afinador cancel fine-tuning-job bert-qa-1a2b3c",),
    ),
    Command(
        ("watch",), "Follow a job until it has ended, then compare base and tuned model", watch_job, _add_job,
        examples=("afinador watch bert-qa-1a2b3c", "afinador watch bert-qa-1a2b3c --json > job.json"),
        details="Exit code 0 when it succeeded, else 1.",
    ),
    Command(
        ("logs",), "Show a job's log", show_log, _add_log_options, prints=False,
        examples=("afinador logs bert-qa-1a2b3c", "afinador logs bert-qa-1a2b3c --follow"),
    ),
    Command(
        ("list", "event"), "List what happened in a job, newest first", list_events, _add_job_and_list,
        examples=("afinador list event bert-qa-1a2b3c",),
    ),
    Command(
        ("list", "checkpoint"), "List a job's checkpoints, newest first", list_checkpoints, _add_job_and_list,
        examples=("afinador list checkpoint bert-qa-1a2b3c",),
    ),
)  # fmt: skip
