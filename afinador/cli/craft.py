"""Commands that need no service: check a data set, train from a file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.cli import dataset_reports, render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.reading import add_reading_options, allowed_reading_of
from afinador.cli.transfer import bytes_bar

if TYPE_CHECKING:
    from afinador.data.validation import Report
    from afinador.schemas.datasets import DatasetReading


def validate(arguments: argparse.Namespace) -> int:
    """Check a data set as the service would, and one to validate on beside it."""
    from afinador.data.validation import compare_files

    path = _existing(arguments.path, may_be_folder=True)
    other = _existing(arguments.validation, may_be_folder=True) if arguments.validation else None
    reading = allowed_reading_of(arguments)
    report = _verdict(path, reading)
    told = report.to_json()
    if other is not None:
        validation = _verdict(other, reading)
        compare_files(report, validation, path.name)
        told["validation"] = validation.to_json()
    if arguments.json:
        render.as_json(told)
    else:
        dataset_reports.show(path.name, told)
        if other is not None:
            dataset_reports.show(other.name, told["validation"])
    return 1 if told["errors"] or (other is not None and told["validation"]["errors"]) else 0


def _verdict(path: Path, reading: DatasetReading | None) -> Report:
    from afinador.data.validation import validate_dataset

    with bytes_bar(path.name) as progress:
        return validate_dataset(path, path.name, reading, progress=progress)


def train(arguments: argparse.Namespace) -> int:
    """Train from a file, without a service, and show it as it goes."""
    from afinador.cli.training import train_and_show

    job = _existing(arguments.job)
    named = Path(arguments.output).expanduser() if arguments.output else None
    unnamed = Path("runs") / f"{job.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    return train_and_show(job, named, unnamed, shown_as_json=arguments.json)


def _existing(reference: str, *, may_be_folder: bool = False) -> Path:
    path = Path(reference).expanduser()
    if path.is_dir() and not may_be_folder:
        raise UsageError(f"{reference!r} is a folder; name a file in it.")
    if not path.exists():
        raise UsageError(f"There is no file {reference!r}.")
    return path


def _add_validate(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="a data set: a file, a folder or an archive")
    parser.add_argument(
        "--validation",
        metavar="PATH",
        help="the data to validate on: checked too, and compared with what is trained on",
    )
    add_reading_options(parser)


def _add_train(parser: Parser) -> None:
    parser.add_argument(
        "job", metavar="JOB.yaml", help="the fields of a job; models and data are paths beside the file"
    )
    parser.add_argument(
        "--output", metavar="DIR", help="run directory (default: the file's output_dir, else a new one below runs/)"
    )


COMMANDS = (
    Command(
        ("validate", "dataset"), "Check a local data set as the service would, without one", validate, _add_validate,
        examples=(
            "afinador validate dataset train.jsonl", "afinador validate dataset train.jsonl --validation valid.jsonl",
            "afinador validate dataset notes.tar.gz --split test",
        ),
        details="Errors forbid training, warnings should be looked at, notes may be. Exit code 1 when one of the files "
        "has errors.",
    ),
    Command(
        ("train",), "Train from a file, without a service", train, _add_train,
        examples=("afinador train job.yaml", "afinador train job.yaml --output runs/first --json"),
        details="The file has the keys of a job: base_model, dataset, validation_dataset, output_model, tuning_method, "
        "hyperparameters.\nThe result lies in the folder final/ of the run directory.",
    ),
)  # fmt: skip
