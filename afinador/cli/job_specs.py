"""Commands on saved job specs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from afinador.cli import creation, render
from afinador.cli.command import Command, Parser
from afinador.cli.local_data_sets import local_data_sets
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.config.counterparts import COUNTERPARTS


def create_spec(arguments: argparse.Namespace) -> None:
    """Save the request in a file; its local data sets are uploaded and given by name."""
    request = creation.request_in_file(Path(arguments.file))
    with connect() as connection:
        from afinador.cli.files import uploads_of
        from afinador.client import uploads

        local, retrain_on_update = local_data_sets(request), not arguments.no_retrain
        if local:
            uploads.check_job_spec(connection, arguments.name, request, retrain_on_update, local)
        with uploads_of(connection, "spec") as upload_once:
            for field, path in local.items():
                request[field] = upload_once(path)["filename"]
            spec = connection.json(calls.create_job_spec(arguments.name, request, retrain_on_update))
    if arguments.json:
        render.as_json(spec)
    else:
        render.result(spec["name"])
        render.remark(f"Start it with: afinador create fine-tune-job --spec {spec['name']}")


def _add_create(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="unique in the organisation")
    parser.add_argument("file", metavar="FILE", help="YAML or JSON: the request of a job")
    parser.add_argument("--no-retrain", action="store_true", help="start no job when its data get a new version")
    parser.counterparts = COUNTERPARTS


def list_specs(arguments: argparse.Namespace) -> None:
    """Show the newest saved specs."""
    found, has_more = ask_list(calls.list_job_specs(), arguments)
    render.listing(
        found, has_more, arguments.json, ("name", "base model", "dataset", "result", "retrains", "created"),
        lambda spec: (
            spec["name"], spec["request"]["model"], spec["request"]["training_file"],
            spec["request"].get("output_model"), spec["retrain_on_update"], render.moment(spec["created_at"]),
        ),
    )  # fmt: skip


def get_spec(arguments: argparse.Namespace) -> None:
    """Show one saved spec."""
    spec = ask(calls.get_job_spec(arguments.spec))
    if arguments.json:
        render.as_json(spec)
        return
    request: dict[str, Any] = spec["request"]
    facts = [("name", spec["name"]), ("id", spec["id"]), ("created", render.moment(spec["created_at"]))]
    retrains = ("retrains", "on a new version of its data" if spec["retrain_on_update"] else "no")
    asked = [(name.replace("_", " "), value) for name, value in request.items()]
    render.result(render.fields([*facts, retrains, *asked]))


def delete_spec(arguments: argparse.Namespace) -> None:
    """Delete a saved spec."""
    deleted = ask(calls.delete_job_spec(arguments.spec))
    render.deleted("job spec", arguments.spec, deleted, arguments.json)


def _add_spec(parser: Parser) -> None:
    parser.add_argument("spec", metavar="NAME", help="name or id")


COMMANDS = (
    Command(
        ("create", "job-spec"), "Save the request of a job, for schedules, triggers and repetition", create_spec,
        _add_create,
        examples=("afinador create job-spec nightly job.yaml", "afinador create job-spec weekly job.yaml --no-retrain"),
        details="Data sets that are local files are uploaded when all else is in order. A file given by its name means its newest version each\n"
        "time, one given by its id that version. A name that is in use is refused.",
    ),
    Command(
        ("list", "job-spec"), "List saved job specs, newest first", list_specs, add_list_options,
        examples=("afinador list job-spec",),
    ),
    Command(
        ("get", "job-spec"), "Show a saved job spec", get_spec, _add_spec,
        examples=("afinador get job-spec nightly", "afinador get job-spec nightly --json"),
    ),
    Command(
        ("delete", "job-spec"), "Delete a saved job spec; its jobs stay", delete_spec, _add_spec,
        examples=("afinador delete job-spec nightly",),
    ),
)  # fmt: skip
