"""Preparations of data sets: steps of a file, taken here with a local data set or by the service with one of its files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.datasets import named_path
from afinador.cli.datasets_here import require_folder_if_path
from afinador.cli.reading import add_reading_options, allowed_reading_of, reading_of
from afinador.cli.service import add_list_options, ask, ask_list, connect
from afinador.cli.transfer import rows_bar
from afinador.client import preparation_calls
from afinador.errors import DataError, NotFoundError, ServiceUnavailableError
from afinador.figures import counted
from afinador.schemas.dataset_formats import HUB_SCHEME

if TYPE_CHECKING:
    from afinador.client.preparations import Preparations
    from afinador.client.results import Preparation
    from afinador.data.preparation import Means
    from afinador.schemas.datasets import DatasetReading


def prepare(arguments: argparse.Namespace) -> int:
    """Prepare a data set, here where there is such a file or folder, else at the service."""
    from afinador.config.documents import read_file

    steps = read_file(Path(arguments.pipeline).expanduser())
    path = named_path(Path(arguments.path).expanduser())
    if path.is_dir() and not arguments.output:
        raise UsageError(f"{arguments.path!r} is a folder; say with --output which file to make of it.")
    return _prepare_here(path, steps, arguments) if path.exists() else _ask_service(steps, arguments)


def _prepare_here(path: Path, steps: Any, arguments: argparse.Namespace) -> int:
    from afinador.data.preparation import lines_to_read, prepare_file

    target = Path(arguments.output).expanduser() if arguments.output else None
    reading = allowed_reading_of(arguments)
    with (
        _means_here(arguments.base_model) as means,
        rows_bar(lambda: lines_to_read(path, reading), is_shown=not arguments.json) as progress,
    ):
        try:
            prepared = prepare_file(
                path,
                steps,
                target=target,
                means=means,
                reading=reading,
                progress=progress,
                overwrite=arguments.overwrite,
            )
        except DataError as error:
            _show_problems(error.problems)
            _show_steps(error.steps, render.remark)
            raise
    told = prepared.to_json()
    if arguments.json:
        render.as_json(told)
        return 0
    _show_steps(told["steps"])
    for file in told["files"]:
        render.result(f"{file['path']}: {counted(file['records'], 'record')}")
    return 0


@contextmanager
def _means_here(base_model: str | None) -> Iterator[Means | None]:
    if base_model is None:
        yield None
        return
    from afinador.data.tokens.process import TokenProcess, can_run_here
    from afinador.models.preparation_tokens import means_of_base_model
    from afinador.models.tokenizer_folders import tokenizer_folder

    require_folder_if_path(base_model)
    folder = Path(base_model).expanduser()
    if not folder.is_dir() or not can_run_here():
        raise UsageError(
            f"{base_model!r} is no folder with a tokenizer that can be used here. For a data set of this machine name such a "
            "folder and install afinador[train], or upload the data set and have the service prepare it."
        )
    with TokenProcess() as process:
        yield means_of_base_model(tokenizer_folder(folder), process)


def _ask_service(steps: Any, arguments: argparse.Namespace) -> int:
    from afinador.client.files import Files
    from afinador.client.preparations import Preparations

    is_of_hub = arguments.path.startswith(HUB_SCHEME)
    reading = reading_of(arguments)
    if reading is not None and not is_of_hub:
        raise UsageError(
            f"There is no local file {arguments.path!r}, and how a file of the service is read was declared at its upload. "
            "Leave these options out, or name a local file."
        )
    if arguments.overwrite:
        raise UsageError(
            f"There is no local file {arguments.path!r}, and the service makes a new file each time. Leave --overwrite out."
        )
    with connect() as connection:
        if is_of_hub:
            render.remark(f"The service fetches {arguments.path} first.")
        made = _made_by_service(Preparations(connection), steps, reading, arguments)
        files = [Files(connection).wait(file.id) for file in made.output_files]
    checked = {file.id: {"status": file.status, "status_details": file.status_details} for file in files}
    if arguments.json:
        told = made.model_dump(mode="json")
        render.as_json({**told, "output_files": [{**file, **checked[file["id"]]} for file in told["output_files"]]})
    elif made.status == "succeeded":
        _show_steps(made.steps)
        for kept in made.output_files:
            render.result(f"{kept.filename} ({kept.id}): {counted(kept.records or 0, 'record')}")
    else:
        error = made.error or {}
        _show_problems(error.get("problems", []))
        _show_steps(made.steps, render.remark)
        render.remark(error.get("message") or f"The preparation was {made.status}.")
    refused = [file for file in files if file.status == "error"]
    for file in refused:
        render.remark(f"{file.filename} cannot be trained on: {file.status_details}")
    return 0 if made.status == "succeeded" and not refused else 1


def _made_by_service(
    preparations: Preparations, steps: Any, reading: DatasetReading | None, arguments: argparse.Namespace
) -> Preparation:
    try:
        asked = preparations.create(
            arguments.path, steps, output=arguments.output, base_model=arguments.base_model, reading=reading
        )
    except NotFoundError as error:
        if error.param == "file":
            raise NotFoundError(
                f"There is no local file {arguments.path!r}, nor one of the service: {error.message}", param="file"
            ) from error
        raise
    except ServiceUnavailableError as error:
        raise ServiceUnavailableError(
            f"There is no local file {arguments.path!r}, and whether the service has one cannot be asked: {error.message}"
        ) from error
    render.remark(f"{asked.id} is queued.")
    try:
        return preparations.wait(asked)
    except KeyboardInterrupt:
        render.remark(f"It goes on as {asked.id}; afinador cancel preparation {asked.id} ends it.")
        raise


def list_preparations(arguments: argparse.Namespace) -> None:
    """Show the newest preparations of the service."""
    found, has_more = ask_list(preparation_calls.list_preparations(), arguments)
    render.listing(
        found, has_more, arguments.json, ("id", "data set", "output", "status", "records", "created"),
        lambda each: (
            each["id"], each["filename"], each["output"], each["status"], each.get("records"),
            render.moment(each["created_at"]),
        ),
    )  # fmt: skip


def get_preparation(arguments: argparse.Namespace) -> None:
    """Show one preparation: how it stands, what each step did, and what it has made."""
    _show(ask(preparation_calls.get_preparation(arguments.preparation)), arguments.json)


def cancel_preparation(arguments: argparse.Namespace) -> None:
    """Cancel a preparation."""
    _show(ask(preparation_calls.cancel_preparation(arguments.preparation)), arguments.json)


def _show(told: dict[str, Any], is_json: bool) -> None:
    if is_json:
        render.as_json(told)
        return
    shown = ("id", "status", "filename", "output", "base_model", "records", "run_url")
    made = ", ".join(
        f"{file['filename']} ({file['id']}, {counted(file['records'], 'record')})" for file in told["output_files"]
    )
    facts = [(name.replace("_", " "), told.get(name)) for name in shown]
    error = (told.get("error") or {}).get("message")
    moments = [(name, render.moment(told.get(f"{name}_at"))) for name in ("created", "finished")]
    render.result(render.fields([*facts, ("made", made or None), *moments, ("error", error)]))
    _show_steps(told["steps"])


def _show_steps(steps: Sequence[Mapping[str, Any]], show: Callable[[str], None] = render.result) -> None:
    rows = [
        (number, step["type"], step["rows_in"], step["rows_out"], step["changed"], _details(step))
        for number, step in enumerate(steps, start=1)
    ]
    if rows:
        show(render.table(("STEP", "TYPE", "ROWS IN", "ROWS OUT", "CHANGED", "DETAILS"), rows))
    for number, step in enumerate(steps, start=1):
        for problem in step.get("dropped", []):
            show(f"Left out by step {number}: {problem['message']}")


def _show_problems(problems: list[str]) -> None:
    """Show faults, if there are more than the one that the message tells anyway."""
    for problem in problems if len(problems) > 1 else ():
        render.remark(problem)


def _details(step: Mapping[str, Any]) -> str:
    counted = {**step.get("parts", {}), **step.get("counts", {})}
    return ", ".join(f"{name} {count}" for name, count in counted.items())


def _add_prepare(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a data set of this machine; else a file of the service, by id or name, or hf://owner/name[:config][@revision]",
    )
    parser.add_argument("--pipeline", metavar="FILE", required=True, help="the steps, as YAML or JSON")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="where to write it, in the format of the extension, compressed with .gz or .zst behind that of a text (default: NAME-prepared beside it)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of this machine that are there already")
    parser.add_argument(
        "--base-model",
        metavar="NAME",
        help="whose tokens steps count and make: a folder, of the service's files a base model of the service",
    )
    add_reading_options(parser)


def _add_preparation(parser: Parser) -> None:
    parser.add_argument("preparation", metavar="ID", help="such as preparation_7f3a19c2")


COMMANDS = (
    Command(
        ("prepare", "dataset"), "Take a data set through declared steps", prepare, _add_prepare,
        examples=(
            "afinador prepare dataset letters.csv --pipeline steps.yaml --output letters.jsonl",
            "afinador prepare dataset file-7f3a19c2 --pipeline steps.yaml",
            "afinador prepare dataset hf://acme/orders --pipeline steps.yaml",
        ),
        details="The steps and their keys: docs/preparation.md. A local data set needs no service. What was done is told step by step, and\n"
        "written beside the result as FILE.lineage.json; a data set that is split becomes NAME-train, NAME-validation and so on.",
    ),
    Command(
        ("list", "preparation"), "List the service's preparations of data sets, newest first", list_preparations,
        add_list_options, examples=("afinador list preparation",),
    ),
    Command(
        ("get", "preparation"), "Show a preparation: what each step did, and what it has made", get_preparation,
        _add_preparation, examples=("afinador get preparation preparation_7f3a19c2",),
    ),
    Command(
        ("cancel", "preparation"), "Cancel a preparation; no file comes of it", cancel_preparation, _add_preparation,
        examples=("afinador cancel preparation preparation_7f3a19c2",),
    ),
)  # fmt: skip
