"""Commands on base models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.service import ask, ask_all, connect
from afinador.client import calls
from afinador.errors import NotFoundError
from afinador.figures import counted

if TYPE_CHECKING:
    from afinador.client.connection import Connection
    from afinador.schemas.models import Visibility

UPLOADED = "upload"
"""The source of a base model whose files were sent."""


def create_model(arguments: argparse.Namespace) -> int:
    """Register a base model, and wait until its files are there."""
    visibility: Visibility = "public" if arguments.public else "private"
    with connect() as connection:
        source = _source(arguments.source, has_our_disk=connection.access.is_on_this_machine)
        if isinstance(source, Path):
            model = _register_folder(connection, arguments.name, source, visibility)
        else:
            model = connection.json(calls.create_model(arguments.name, source, visibility))
        if not arguments.no_wait:
            from afinador.client.following import await_settled

            if model["status"] == "registering":
                render.remark(f"Fetching and checking {model['name']} …")
            model = await_settled(connection, calls.get_model(model["model_id"]), "registering")
    if arguments.json:
        render.as_json(model)
    else:
        render.result(render.fields(_facts(model)))
    if model["status"] == "error":
        render.remark(f"{model['name']} cannot be used: {model.get('status_details')}")
        return 1
    return 0


def _register_folder(connection: Connection, name: str, folder: Path, visibility: Visibility) -> dict[str, Any]:
    """Register a folder of this machine; its files are sent where the service may not read it in place."""
    from afinador.cli.transfer import bytes_bar
    from afinador.client import model_uploads

    with bytes_bar(f"Uploading {folder.name}") as report:
        model = model_uploads.register(connection, name, folder, visibility, report)
    if model.get("source") == UPLOADED:
        render.remark(f"Uploaded {counted(len(model['files']), 'file')} of {folder} ({render.size(model['bytes'])}).")
        for left_out, reason in model_uploads.left_out(folder).items():
            render.remark(f"Left out: {left_out} ({reason}).")
    return model


def _source(source: str, *, has_our_disk: bool) -> str | Path:
    """Return a folder of this machine as a path, absolute, and anything else as it is: the service knows it.

    Raises:
        UsageError: It is a file.
        NotFoundError: The service has our disk, and there is nothing.
    """
    if "://" in source:
        return source
    folder = Path(source).expanduser().absolute()
    if folder.is_file():
        raise UsageError(f"--source {source!r} is a file; give the folder that holds the model.")
    if has_our_disk and not folder.exists():
        raise NotFoundError(f"--source {source!r}: there is no such folder ({folder}). Check the path.")
    return folder if folder.is_dir() else source


def _add_create(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="for example tiny or owner/name")
    parser.add_argument(
        "--source", required=True, metavar="SOURCE",
        help="a folder, sent where the service may not read it in place, or hf://owner/name[@revision]",
    )  # fmt: skip
    parser.add_argument("--public", action="store_true", help="for every organisation (operator)")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until its files are there")


def list_models(arguments: argparse.Namespace) -> None:
    """Show the base models: the organisation's own and public ones."""
    models = [model for model in ask_all(calls.list_models()) if model["type"] == "base"]
    render.listing(
        models, False, arguments.json, ("name", "parameters", "architecture", "status", "visibility", "created"),
        lambda model: (
            model["name"], render.count(model["parameters"]), model["architecture"], _status(model),
            model["visibility"], render.moment(model["created_at"]),
        ),
    )  # fmt: skip


def _status(model: dict[str, Any]) -> str:
    """Return a model's status; one that is ready has details where no job can use it."""
    is_unused = model["status"] == "ready" and model.get("status_details")
    return "ready, but no job can use it yet" if is_unused else str(model["status"])


def get_model(arguments: argparse.Namespace) -> None:
    """Show one base model."""
    model = ask(calls.get_model(arguments.model))
    if arguments.json:
        render.as_json(model)
    else:
        render.result(render.fields(_facts(model)))


def _facts(model: dict[str, Any]) -> list[tuple[str, Any]]:
    shown = (
        "name",
        "model_id",
        "type",
        "status",
        "status_details",
        "origin",
        "visibility",
        "architecture",
        "task",
        "license",
    )
    return [
        *((name.replace("_", " "), model.get(name)) for name in shown),
        ("parameters", render.count(model["parameters"]) if model.get("parameters") else None),
        ("size", _size(model)),
        ("sha256", model.get("sha256")),
        ("source", model.get("source")),
        ("revision", model.get("revision")),
        ("created", render.moment(model["created_at"])),
    ]


def _size(model: dict[str, Any]) -> str | None:
    total_bytes, done_bytes = model.get("bytes"), model.get("bytes_done")
    if not total_bytes or done_bytes == total_bytes:
        return render.size(total_bytes) if total_bytes else None
    return f"{render.size(done_bytes or 0)} of {render.size(total_bytes)} are there"


def delete_model(arguments: argparse.Namespace) -> None:
    """Delete a base model."""
    deleted = ask(calls.delete_model(arguments.model))
    render.deleted("base model", arguments.model, deleted, arguments.json)


def _add_model(parser: Parser) -> None:
    parser.add_argument("model", metavar="NAME", help="name or id")


COMMANDS = (
    Command(
        ("create", "base-model"), "Register a base model", create_model, _add_create,
        examples=(
            "afinador create base-model tiny --source examples/base_model/model",
            "afinador create base-model mine --source ~/models/mine",
            "afinador create base-model smollm --source hf://HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
        details=(
            "Waits until its files were fetched and checked. Models up to 15B parameters, as safetensors. A folder below "
            "one of the service's AFINADOR_MODEL_ROOTS is used in place; of any other one the files are uploaded, 64 GB "
            "at most. An upload that broke off goes on when the command is given again."
        ),
    ),
    Command(
        ("list", "base-model"), "List the base models: your own and public ones", list_models,
        examples=("afinador list base-model",),
    ),
    Command(
        ("get", "base-model"), "Show a base model", get_model, _add_model, examples=("afinador get base-model tiny",)
    ),
    Command(
        ("delete", "base-model"), "Delete a base model that nothing depends on", delete_model, _add_model,
        examples=("afinador delete base-model tiny",),
    ),
)  # fmt: skip
