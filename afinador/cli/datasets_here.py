"""Data sets judged and shown on this machine, without a service."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli.command import UsageError
from afinador.cli.reading import allowed_reading_of, validation_reading_of
from afinador.errors import DataError, InvalidRequestError, ModelError, NotFoundError

if TYPE_CHECKING:
    from afinador.data.tokens.process import TokenProcess
    from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport, Documents
    from afinador.schemas.datasets import DatasetReading
    from afinador.schemas.jobs import Task, TrainedTask

TASKS: tuple[TrainedTask, ...] = ("causal_lm", "sequence_classification")


def is_asked_here(base_model: str | None) -> bool:
    """Tell whether no service is needed: what reads data is installed, and no tokenizer is asked, or one in a folder.

    Raises:
        NotFoundError: The base model is a path, and there is no such folder.
    """
    if find_spec("pyarrow") is None:
        return False
    if base_model is None:
        return True
    require_folder_if_path(base_model)
    from afinador.data.tokens.process import can_run_here

    return Path(base_model).expanduser().is_dir() and can_run_here()


def require_folder_if_path(base_model: str) -> None:
    """Do nothing unless a base model is named by a path that leads to no folder.

    Raises:
        NotFoundError: It does.
    """
    if "/" in base_model and not Path(base_model).expanduser().is_dir():
        raise NotFoundError(
            f"--base-model is {base_model!r}, and there is no such folder; name one, or a base model of the service."
        )


def validated_here(path: Path, held_out: Path | None, arguments: argparse.Namespace) -> DatasetReport:
    """Judge a data set, and perhaps one that is held out, as the service would; a bar shows how far it is.

    Raises:
        UsageError: There is no such task.
        InvalidRequestError: What is asked of documents, or of how the files are read, cannot be.
        ModelError: The folder of the base model holds no tokenizer.
    """
    from afinador.cli.transfer import bytes_bar
    from afinador.data.comparison import compare_files
    from afinador.data.dataset_reports import dataset_report
    from afinador.data.task_fit import fitted
    from afinador.data.tokens.process import TokenProcess
    from afinador.data.validation import Report, validate_dataset

    files = _as_declared(path, held_out, arguments)
    folder = Path(arguments.base_model).expanduser() if arguments.base_model else None
    limits = _limits_here(folder, arguments) if folder else {}
    asked_for = _asked_for(arguments)
    task = _task_of(arguments.task, limits)
    verdicts: list[Report] = []
    for file, reading in files:
        with bytes_bar(file.name, is_shown=not arguments.json) as progress:
            verdicts.append(validate_dataset(file, file.name, reading, progress=progress))
    if held_out is not None:
        compare_files(verdicts[0], verdicts[1], path.name, task, are_of_one=path == held_out)
    named = [(file.name, verdict.to_json()) for (file, _), verdict in zip(files, verdicts, strict=True)]
    fit = fitted(named, task, asked_for)
    reports = []
    with TokenProcess() as process:
        for (file, reading), found in zip(files, fit, strict=True):
            if folder is not None:
                found = _with_tokens(found, file, reading, process, folder, limits, arguments)
            reports.append(dataset_report(file.name, found))
    if held_out is not None:
        reports[0].validation = reports[-1]
    return reports[0]


def _as_declared(
    path: Path, held_out: Path | None, arguments: argparse.Namespace
) -> list[tuple[Path, DatasetReading | None]]:
    """Return the data sets, each with how it is to be read."""
    from afinador.data.files.detection import require_fit_to_content
    from afinador.data.files.loaders import require_loader_allowed_here
    from afinador.schemas.datasets import read_otherwise

    reading = allowed_reading_of(arguments)
    if held_out is None:
        return [(path, reading)]
    declared = validation_reading_of(arguments)
    held_out_reading = read_otherwise(reading, declared)
    require_loader_allowed_here(held_out_reading)
    if declared is not None:
        require_fit_to_content(held_out_reading, held_out, held_out.name, param="--validation-reading")
    return [(path, reading), (held_out, held_out_reading)]


def _task_of(asked: str | None, limits: dict[str, Any]) -> Task | None:
    """Return the task of the base model, or the one that was asked for without one.

    Raises:
        UsageError: There is no such task.
    """
    if limits:
        task: Task = limits["task"]
        return task
    if asked not in (None, *TASKS):
        raise UsageError(f"--task is {asked!r}; it must be {' or '.join(TASKS)}.")
    return next((task for task in TASKS if task == asked), None)


def _limits_here(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from afinador.models.tokenizer_folders import tokenizer_folder

    return tokenizer_folder(folder).limits(arguments.task, arguments.max_length)


def _with_tokens(
    found: dict[str, Any],
    file: Path,
    reading: DatasetReading | None,
    process: TokenProcess,
    folder: Path,
    limits: dict[str, Any],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    from afinador.cli.transfer import records_bar
    from afinador.data.dataset_reports import with_tokens, with_unusable_tokenizer

    declared = reading.to_json() if reading else None
    named = {"base_model": arguments.base_model, "declared": declared, "extraction": _asked_for(arguments)}
    with records_bar(f"{file.name}, by the tokenizer", is_shown=not arguments.json) as progress:
        try:
            return with_tokens(found, file, process, folder, limits, **named, progress=progress)
        except ModelError as error:
            return with_unusable_tokenizer(found, error.message)


def previewed_here(path: Path, arguments: argparse.Namespace) -> DatasetPreview:
    """Show the first records as a model will see them.

    Raises:
        DataError: The file cannot be read, or its shape is not trained on.
        ModelError: The folder of the base model holds no tokenizer that can be used.
    """
    from afinador.data.dataset_reports import reading_of
    from afinador.data.shapes import require_trainable
    from afinador.data.tokens.process import TokenProcess
    from afinador.data.validation import validate_dataset
    from afinador.schemas.dataset_reports import DatasetPreview

    folder = Path(arguments.base_model).expanduser()
    limits = _limits_here(folder, arguments)
    reading = allowed_reading_of(arguments)
    found = validate_dataset(path, path.name, reading).to_json()
    if found["shape"] is None:
        raise DataError(f"{path.name}: {found['summary']}")
    require_trainable(found["shape"], path.name, task=limits["task"], param="file")
    with TokenProcess() as process:
        read_as = reading_of(path, found, reading.to_json() if reading else None, _asked_for(arguments))
        shown = process.preview(folder, read_as, limits, records=arguments.records)
    return DatasetPreview(file=path.name, base_model=arguments.base_model, total_records=found["records"], **shown)


def documents_of(arguments: argparse.Namespace) -> Documents:
    """Return how documents are asked for, as a request says it; files are read."""
    from afinador.config.documents import read_document

    return {
        "extraction": arguments.extraction,
        "prompts": read_document(Path(arguments.prompts).expanduser()) if arguments.prompts else None,
        "extraction_schema": read_document(Path(arguments.extraction_schema).expanduser())
        if arguments.extraction_schema
        else None,
    }


def _asked_for(arguments: argparse.Namespace) -> dict[str, Any]:
    from pydantic import ValidationError

    from afinador.schemas.dataset_reports import DatasetRequest
    from afinador.wording import complaint

    given = {name: value for name, value in documents_of(arguments).items() if value is not None}
    try:
        return DatasetRequest.model_validate({"file": "here", **given}).asked_for()
    except ValidationError as error:
        field, said = complaint(error)
        raise InvalidRequestError(said, param=field) from error
