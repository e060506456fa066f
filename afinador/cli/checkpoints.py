"""Commands on the checkpoints of a job."""

from __future__ import annotations

import argparse
from pathlib import Path

from afinador.cli import render
from afinador.cli.command import Command, Parser
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.figures import counted


def list_checkpoints(arguments: argparse.Namespace) -> None:
    """Show a job's checkpoints, newest first."""
    found, has_more = ask_list(calls.list_checkpoints(arguments.job), arguments)
    render.listing(
        found, has_more, arguments.json, ("step", "created", "mean train loss", "validation loss", "id"),
        lambda each: (
            each["step_number"], render.moment(each["created_at"]), each["metrics"].get("train_loss"),
            each["metrics"].get("valid_loss"), each["id"],
        ),
    )  # fmt: skip


def get_checkpoint(arguments: argparse.Namespace) -> None:
    """Show the files of a checkpoint, or fetch them."""
    with connect() as connection:
        listed = connection.json(calls.list_checkpoint_files(arguments.job, arguments.checkpoint))
        if arguments.download:
            from afinador.cli.transfer import bytes_bar
            from afinador.client.downloads import download_checkpoint

            folder = Path(arguments.download).expanduser()
            with bytes_bar(f"Fetching checkpoint {arguments.checkpoint}") as report:
                fetched = download_checkpoint(
                    connection, arguments.job, arguments.checkpoint, folder, lambda _, done, total: report(done, total)
                )
            render.remark(f"Fetched {counted(len(fetched), 'file')} to {folder}, SHA-256 checked.")
    render.listing(
        listed["data"], False, arguments.json, ("file", "size", "sha256"),
        lambda file: (file["path"], render.size(file["bytes"]), file["sha256"]),
    )  # fmt: skip


def publish_checkpoint(arguments: argparse.Namespace) -> None:
    """Publish a checkpoint to the hub."""
    entry = ask(calls.publish_checkpoint(arguments.job, arguments.checkpoint, arguments.output_model))
    if arguments.json:
        render.as_json(entry)
        return
    render.result(
        f"Checkpoint {entry['checkpoint_step']} is in the hub as {entry['kind']} {entry['name']}, version "
        f"{entry['version']}, {entry['id']}."
    )


def _add_job_and_list(parser: Parser) -> None:
    _add_job(parser)
    add_list_options(parser)


def _add_job(parser: Parser) -> None:
    parser.add_argument("job", metavar="JOB", help="id or name")


def _add_which(parser: Parser) -> None:
    _add_job(parser)
    parser.add_argument("checkpoint", metavar="STEP", help="step or id of the checkpoint")


def _add_publish(parser: Parser) -> None:
    _add_which(parser)
    parser.add_argument("--output-model", metavar="NAME", help="hub name (default: that of the job)")


def _add_checkpoint(parser: Parser) -> None:
    _add_which(parser)
    parser.add_argument("--download", metavar="DIR", help="fetch all files into this folder, SHA-256 checked")


COMMANDS = (
    Command(
        ("list", "checkpoint"), "List a job's checkpoints, newest first", list_checkpoints, _add_job_and_list,
        examples=("afinador list checkpoint bot-1a2b3c",),
    ),
    Command(
        ("get", "checkpoint"), "Show or fetch the files of a checkpoint", get_checkpoint, _add_checkpoint,
        examples=("afinador get checkpoint bot-1a2b3c 500 --download step-500/",),
        details="The folder loads as a model.",
    ),
    Command(
        ("publish", "checkpoint"), "Publish a checkpoint to the hub", publish_checkpoint, _add_publish,
        examples=("afinador publish checkpoint bot-1a2b3c 500 --output-model bot-early",),
        details="What is published is what a finished job publishes. The job may be in any state; asking again changes\n"
        "nothing, and a checkpoint has one name in the hub.",
    ),
)  # fmt: skip
