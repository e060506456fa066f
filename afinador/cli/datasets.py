"""Commands on data sets that are not trained on yet: on this machine where that can be done, else by the service."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.dataset_reports import show_report
from afinador.cli.dataset_text import preview_text
from afinador.cli.datasets_here import documents_of, is_asked_here, previewed_here, validated_here
from afinador.cli.reading import add_reading_options, add_validation_reading_options, validation_reading_of
from afinador.cli.reading import reading_of as declared_by
from afinador.cli.service import connect_for_data, positive
from afinador.errors import NotFoundError
from afinador.schemas.dataset_formats import HUB_SCHEME, LEAST_LENGTH, MOST_LENGTH

if TYPE_CHECKING:
    from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport

DEFAULT_LENGTH = 2048
FILE_ID = "file-"


def validate(arguments: argparse.Namespace) -> int:
    """Check a data set as the service would."""
    path = _named(arguments.path)
    held_out = _named(arguments.validation_dataset) if arguments.validation_dataset else None
    _require_undeclared(arguments)
    has_part = held_out is None and _holds_a_part_out(arguments)
    if isinstance(path, Path) and not isinstance(held_out, str) and is_asked_here(arguments.base_model):
        report = validated_here(path, path if has_part else held_out, arguments)
    else:
        report = _validated_there(path, held_out, arguments)
    if arguments.html:
        from afinador.report.dataset_page import dataset_page

        _write(arguments.html, dataset_page(report))
    if arguments.json:
        render.as_json(report.model_dump(mode="json"))
    else:
        show_report(report)
    is_fit = report.valid and (report.validation is None or report.validation.valid)
    return 0 if is_fit else 1


def _holds_a_part_out(arguments: argparse.Namespace) -> bool:
    """Tell whether a part of the data set itself is held out.

    Raises:
        InvalidRequestError: It is not said which.
    """
    from afinador.schemas.datasets import require_part

    declared = validation_reading_of(arguments)
    require_part(declared, param="--validation-reading")
    return declared is not None


def preview(arguments: argparse.Namespace) -> int:
    """Show the first records as the model will see them; 1 where none of them can be trained on."""
    path = _named(arguments.path)
    _require_undeclared(arguments)
    if isinstance(path, Path) and is_asked_here(arguments.base_model):
        shown = previewed_here(path, arguments)
    else:
        shown = _previewed_there(path, arguments)
    if arguments.html:
        from afinador.report.preview_page import preview_page

        _write(arguments.html, preview_page(shown))
    if arguments.json:
        render.as_json(shown.model_dump(mode="json"))
    elif not arguments.html:
        render.result(preview_text(shown, with_ids=arguments.ids))
    return 0 if shown.is_usable() else 1


def _named(reference: str) -> Path | str:
    """Return the local file or folder, or what the service is asked for: a file of its own, or of the Hugging Face Hub."""
    is_there = reference.startswith(HUB_SCHEME) or _is_of_service(reference)
    return reference if is_there else existing(reference, may_be_folder=True)


def _is_of_service(reference: str) -> bool:
    """Tell an id, as get file shows it; names mean files of this machine."""
    return reference.startswith(FILE_ID) and not Path(reference).exists()


def _require_undeclared(arguments: argparse.Namespace) -> None:
    if _is_of_service(arguments.path) and declared_by(arguments) is not None:
        raise UsageError(
            f"How {arguments.path} is read was declared at its upload. Leave the options for that out, or name a local file."
        )


def named_path(path: Path) -> Path:
    """Return a path that ends with a name, as messages and results have it: of ``.`` and ``..`` the absolute one."""
    return path if path.name not in ("", "..") else path.resolve()


def existing(reference: str, *, may_be_folder: bool = False) -> Path:
    """Return the local file, or folder, that was named.

    Raises:
        NotFoundError: There is none.
        UsageError: It is a folder where that may not be, or nothing that can be read twice.
    """
    path = Path(reference).expanduser()
    if path.is_dir() and not may_be_folder:
        raise UsageError(f"{reference!r} is a folder; name a file in it.")
    if not path.exists():
        raise NotFoundError(f"There is no file {reference!r}. Check the path.")
    if not (path.is_file() or path.is_dir()):
        raise UsageError(
            f"{reference!r} is no regular file, and a data set is read more than once. Write it to a file first."
        )
    return named_path(path)


def _validated_there(path: Path | str, held_out: Path | str | None, arguments: argparse.Namespace) -> DatasetReport:
    with connect_for_data() as connection:
        from afinador.client.datasets import Datasets
        from afinador.client.files import Files

        return Datasets(connection, Files(connection)).validate(
            path,
            validation_dataset=held_out,
            validation_reading=validation_reading_of(arguments),
            base_model=arguments.base_model,
            task=arguments.task,
            max_length=arguments.max_length,
            reading=declared_by(arguments),
            **documents_of(arguments),
        )


def _previewed_there(path: Path | str, arguments: argparse.Namespace) -> DatasetPreview:
    with connect_for_data() as connection:
        from afinador.client.datasets import Datasets
        from afinador.client.files import Files

        return Datasets(connection, Files(connection)).preview(
            path,
            arguments.base_model,
            records=arguments.records,
            task=arguments.task,
            max_length=arguments.max_length,
            reading=declared_by(arguments),
            **documents_of(arguments),
        )


def _write(target: str, page: str) -> None:
    path = Path(target).expanduser()
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target!r} cannot be written: {error.strerror}.") from error
    render.remark(f"Wrote {path}")


def _add_validate(parser: Parser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a data set: a file, a folder, an archive, hf://owner/name[:config][@revision], or the id of a file of the service",
    )
    parser.add_argument(
        "--validation-dataset",
        "--validation",
        metavar="PATH",
        help="what is held out: checked too, and compared with what is trained on",
    )
    parser.add_argument(
        "--base-model", metavar="NAME", help="a folder, or a base model of the service: lengths in tokens, what is cut"
    )
    _add_common(parser)
    add_validation_reading_options(parser)


def _add_preview(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="a data set, as for validate dataset")
    parser.add_argument(
        "--base-model", metavar="NAME", required=True, help="a folder with a tokenizer, or a base model of the service"
    )
    parser.add_argument(
        "--records", type=positive, default=5, metavar="N", help="how many, from the first (default: 5)"
    )
    parser.add_argument("--ids", action="store_true", help="one token a line, with its id")
    _add_common(parser)


def _length(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not LEAST_LENGTH <= number <= MOST_LENGTH:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {LEAST_LENGTH} to {MOST_LENGTH}")
    return number


def _add_common(parser: Parser) -> None:
    parser.add_argument("--task", help="causal_lm or sequence_classification; the base model's own by default")
    parser.add_argument(
        "--max-length", type=_length, default=DEFAULT_LENGTH, metavar="N", help="as in the job (default: 2048)"
    )
    parser.add_argument(
        "--extraction", metavar="MODE", help="prompt or schema: how documents are asked for, as in the job"
    )
    parser.add_argument("--prompts", metavar="FILE", help="YAML or JSON: a prompt by type of document, as in the job")
    parser.add_argument(
        "--extraction-schema", metavar="FILE", help="YAML or JSON: the fields that are wanted, as in the job"
    )
    parser.add_argument("--html", metavar="FILE", help="write it as a page that stands alone")
    add_reading_options(parser)


COMMANDS = (
    Command(
        ("validate", "dataset"), "Check a local data set as the service would", validate, _add_validate,
        examples=(
            "afinador validate dataset train.jsonl",
            "afinador validate dataset train.jsonl --validation-dataset held.jsonl --base-model tiny --html report.html",
            "afinador validate dataset notes.tar.gz --split train --validation-split test",
            "afinador validate dataset file-7f3a19c2",
        ),
        details="What says how the data set is read says it of the held-out one too, unless --validation-split or\n--validation-reading says otherwise. Errors forbid training, warnings should be looked at, notes may be. Exit code 1 when one of the files has\n"
        "errors. Without a base model, or with one in a folder, no service is "
        "needed;\nelse the file is sent to it for the while, or fetched by it from the Hugging Face Hub and kept. Whether labels are classes is judged by the task; one label for all\n"
        "is an error unless the task is causal_lm.",
    ),
    Command(
        ("preview", "dataset"), "Show the first records as a model will see them", preview, _add_preview,
        examples=(
            "afinador preview dataset train.jsonl --base-model ./model --records 3",
            "afinador preview dataset train.jsonl --base-model tiny --max-length 256 --html preview.html",
        ),
        details="Each token is trained, masked (only read) or cut. The tokenizer suffices; no weights are loaded. Exit code 1 when\nnone of the records can be trained on.",
    ),
)  # fmt: skip
