"""Commands on fine-tuning jobs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from afinador.cli import creation, render
from afinador.cli.command import Command, Parser
from afinador.cli.job_details import get_job, progress_of
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.errors import InvalidRequestError


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


def show_report(arguments: argparse.Namespace) -> None:
    """Write the report of a job to a file, or to standard output."""
    with connect() as connection:
        page = connection.text(calls.job_report(arguments.job))
    if arguments.output is None:
        render.result(page.rstrip("\n"))
        return
    path = Path(arguments.output).expanduser()
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidRequestError(f"Cannot write {path}: {error.strerror}.", param="output") from error
    render.remark(f"The report is in {path}; open it in a browser.")


def _add_report_options(parser: Parser) -> None:
    _add_job(parser)
    parser.add_argument("--output", "-o", metavar="FILE", help="write it there; by default to standard output")


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
        ("report",), "Show all that is known of a job as one HTML page", show_report, _add_report_options, prints=False,
        examples=("afinador report bot-1a2b3c --output bot.html",),
        details="The page stands alone: it may be sent, kept and read without the service.",
    ),
    Command(
        ("list", "event"), "List what happened in a job, newest first", list_events, _add_job_and_list,
        examples=("afinador list event bot-1a2b3c",),
    ),
)  # fmt: skip
