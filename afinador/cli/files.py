"""Commands on files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.command import Command, Parser
from afinador.cli.reading import add_reading_options, reading_of
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.client import calls
from afinador.errors import AfinadorError, NotFoundError, ServiceUnavailableError
from afinador.figures import counted

if TYPE_CHECKING:
    from afinador.client.connection import Connection
    from afinador.schemas.datasets import DatasetReading

CHECK_TIMEOUT_SECONDS = 600.0


def upload(connection: Connection, path: Path, purpose: str, reading: DatasetReading | None = None) -> dict[str, Any]:
    """Upload a file with a progress bar, and return it as the service has it now."""
    from afinador.cli.transfer import bytes_bar

    with bytes_bar(f"Uploading {path.name}") as report:
        file = connection.upload(path, purpose, report, reading)
    render.remark(f"Uploaded {path} as {file['id']} (version {file['version']} of {file['filename']}).")
    return file


def named(connection: Connection, file_id: str, name: str | None = None) -> str:
    """Return name and version of a data set, for people; of one that was deleted what is still known.

    Args:
        connection: Where to ask.
        file_id: Its id.
        name: What it was called, where somebody knows.
    """
    try:
        file = connection.json(calls.get_file(file_id))
    except NotFoundError:
        return f"{name or file_id} (deleted)"
    return f"{file['filename']}, version {file['version']}"


@contextmanager
def uploads_of(connection: Connection, purpose: str = "job") -> Iterator[Callable[[Path], dict[str, Any]]]:
    """Upload the local data sets of a request that is sent in this context; if it is refused, delete them again.

    Args:
        connection: Where to ask.
        purpose: What the request makes, for people.

    Returns:
        What returns a data set as the service has it; it is uploaded when its bytes are not there under its name.
    """
    from afinador.client import uploads

    new: list[str] = []

    def withdraw() -> None:
        uploads.withdraw(connection, new)
        if new:
            render.remark(f"Deleted again, for no {purpose} came of it: {', '.join(new)}.")
        new.clear()

    def upload_once(path: Path) -> dict[str, Any]:
        try:
            file = uploads.find_same(connection, path)
            if file is None:
                file = upload(connection, path, uploads.PURPOSE)
                new.append(file["id"])
                return file
        except BaseException:  # also when people interrupt it: nothing was sent yet that needs these files
            withdraw()
            raise
        render.remark(f"{path} is there already as {file['id']} (version {file['version']} of {file['filename']}).")
        return file

    try:
        yield upload_once
    except ServiceUnavailableError:  # whether it was taken, nobody knows
        raise
    except AfinadorError:
        withdraw()
        raise


def create_file(arguments: argparse.Namespace) -> int:
    """Upload a file, or name one of the Hugging Face Hub, and wait for its check."""
    from afinador.schemas.dataset_formats import HUB_SCHEME

    reading = reading_of(arguments)
    with connect() as connection:
        if arguments.path.startswith(HUB_SCHEME):
            file = connection.name_source(arguments.path, arguments.purpose, reading)
        else:
            path = Path(arguments.path).expanduser()
            if not path.exists():
                raise NotFoundError(f"There is no file {arguments.path!r}. Check the path.")
            file = upload(connection, path, arguments.purpose, reading)
        if not arguments.no_wait:
            from afinador.client.following import await_settled

            call = calls.get_file(file["id"])
            file = await_settled(connection, call, "uploaded", timeout_seconds=CHECK_TIMEOUT_SECONDS)
    if arguments.json:
        render.as_json(file)
    else:
        render.result(file["id"])
    if file["status"] == "error":
        render.remark(f"{file['filename']} cannot be trained on: {file.get('status_details')}")
        return 1
    if file["status"] == "uploaded":
        render.remark("It is still to be checked.")
    for remark in _doubts(file):
        render.remark(f"{file['filename']}: {remark}")
    return 0


def _doubts(file: dict[str, Any]) -> list[str]:
    """Return what people should know of a data set that can be trained on."""
    from afinador.client.uploads import PURPOSE

    if file["status"] != "processed" or file["purpose"] != PURPOSE:
        return []
    doubts = list(file.get("not_read") or [])
    if number := file.get("warnings"):
        doubts.append(f"{counted(number, 'warning')}, see: afinador validate dataset {file['id']}")
    return doubts


def _add_upload(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a data set, up to 1 GB: a file, a folder (sent as an archive), or hf://owner/name[:config][@revision]",
    )
    add_reading_options(parser)
    parser.add_argument("--purpose", default="fine-tune", help="default: fine-tune")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it was checked")


def list_files(arguments: argparse.Namespace) -> None:
    """Show the newest files."""
    found, has_more = ask_list(calls.list_files(arguments.purpose), arguments)
    render.listing(
        found, has_more, arguments.json, ("id", "name", "version", "size", "records", "status", "created"),
        lambda file: (
            file["id"], file["filename"], file["version"], render.size(file["bytes"]), file.get("records"),
            file["status"], render.moment(file["created_at"]),
        ),
    )  # fmt: skip


def _add_list(parser: Parser) -> None:
    add_list_options(parser)
    parser.add_argument("--purpose", help="only those of this purpose")


def get_file(arguments: argparse.Namespace) -> None:
    """Show one file, or fetch its bytes."""
    with connect() as connection:
        file = connection.json(calls.get_file(arguments.file))
        if arguments.download:
            target = Path(arguments.download)
            if target.is_dir():
                target /= Path(file["filename"]).name
            _fetch(connection, file, target)
    if arguments.json:
        render.as_json(file)
        return
    shown = (
        "id",
        "filename",
        "version",
        "status",
        "status_details",
        "purpose",
        "type",
        "records",
        "sha256",
        "path",
        "source",
        "reading",
    )
    facts = [(name.replace("_", " "), file.get(name)) for name in shown]
    facts += [("size", render.size(file["bytes"])), ("created", render.moment(file["created_at"]))]
    facts += [("to know", doubt) for doubt in _doubts(file)]
    if made_of := file.get("lineage"):
        facts.append(("made of", f"{made_of['filename']} ({made_of['file_id']}) by {made_of['preparation']}"))
    render.result(render.fields(facts))


def _fetch(connection: Connection, file: dict[str, Any], target: Path) -> None:
    from afinador.cli.transfer import bytes_bar
    from afinador.client.downloads import fetch

    with bytes_bar(f"Fetching {target.name}") as report:
        fetch(
            connection, calls.file_content(file["id"]), target, file["sha256"],
            lambda done_bytes: report(done_bytes, file["bytes"]),
        )  # fmt: skip
    render.remark(f"Fetched {target} ({render.size(file['bytes'])}), SHA-256 checked.")


def _add_get(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="id or name")
    parser.add_argument("--download", metavar="PATH", help="write the bytes to this file or into this folder")


def delete_file(arguments: argparse.Namespace) -> None:
    """Delete a file."""
    deleted = ask(calls.delete_file(arguments.file))
    render.deleted("file", arguments.file, deleted, arguments.json)


COMMANDS = (
    Command(
        ("create", "file"), "Upload a data set; a known name gets a new version", create_file, _add_upload,
        examples=("afinador create file train.jsonl", "afinador create file bank.csv --mapping mapping.yaml",
                  "afinador create file hf://acme/orders:default@main --split train"),
        details="Prints the file's id, once it was checked. Exit code 1 when it cannot be trained on.",
    ),
    Command(
        ("list", "file"), "List files, newest first", list_files, _add_list,
        examples=("afinador list file", "afinador list files --limit 100"),
    ),
    Command(
        ("get", "file"), "Show a file, or fetch it", get_file, _add_get,
        examples=("afinador get file file-abc123", "afinador get file qa_data.csv --download copy.csv"),
    ),
    Command(
        ("delete", "file"), "Delete a file that no open job needs", delete_file,
        lambda parser: parser.add_argument("file", metavar="FILE", help="id or name"),
        examples=("afinador delete file file-abc123",),
    ),
)  # fmt: skip
