"""From a file with the fields of a job to the specification of a run, with no service."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from afinador import __version__
from afinador.config.architectures import check_parameter_count
from afinador.config.documents import read_document
from afinador.config.fitting import fit_to_task, refuse_or_leave_out
from afinador.config.hyperparameters import Hyperparameters
from afinador.config.layers import naming_place
from afinador.config.operator import read_operator_config
from afinador.config.resolve import (
    parse_request,
    resolve_request,
    resolve_task,
    slug,
)
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.config.starting import Start
from afinador.data.files.folders import content_of
from afinador.data.files.loaders import require_loader_allowed_here
from afinador.data.shapes import require_trainable
from afinador.data.validation import require_valid, validate_dataset
from afinador.errors import InvalidRequestError, NotFoundError
from afinador.models.headers import inspect_model_folder
from afinador.models.layer_names import require_layers_in_folder
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.datasets import DatasetReading, read_otherwise
from afinador.schemas.jobs import JobRequest, TuningMethod
from afinador.settings import read_settings
from afinador.training.starting_files import start_from_folder
from afinador.wording import first_line

LOCAL = "local"
"""Organisation and job id of runs without a service."""

DEFAULT_SEED = 42

_DATA_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")


def spec_from_file(path: Path) -> FineTuningSpec:
    """Read a YAML or JSON file with the fields of a job request; its paths are relative to the file.

    Raises:
        AfinadorError: The file is none, or see ``spec_from_fields``.
    """
    return spec_from_fields(_job_document(path), path.parent, path.stem)


def spec_from_fields(
    fields: dict[str, Any], folder: Path, name: str, *, base_name: str | None = None
) -> FineTuningSpec:
    """Resolve the fields of a job request.

    ``base_model``, ``dataset``, ``validation_dataset`` and ``from_checkpoint`` are paths. The data sets are checked
    whole, so that a bad line is known before a model is loaded. ``reading``, which a service is told at the upload, says
    how they are to be read (see ``DatasetReading``); ``validation_reading`` says what is otherwise for the second.

    Args:
        fields: As a job file holds them.
        folder: What paths are relative to.
        name: The job's, unless the fields name it.
        base_name: What the base model is called; that of its folder if omitted.

    Raises:
        InvalidRequestError: A field or a hyperparameter is wrong, or names a layer that the model does not have.
        NotFoundError: A path leads nowhere.
        DataError: A data set cannot be trained on; all problems are named.
        ModelError: The model cannot be trained, or is too large.
        TrainingError: The checkpoint is damaged, or holds no state of a training.
        ConfigurationError: The operator's file (``AFINADOR_CONFIG``) cannot be read or does not fit.
    """
    request = parse_request({name: value for name, value in fields.items() if name != "reading"})
    start = _start(folder, request)
    if start is not None:
        request = start.completed(request)
    tuning_method, hyperparameters, sources = resolve_request(request, read_operator_config(read_settings().config))
    with naming_place(sources):
        if start is not None:
            hyperparameters, sources = start.fitted(hyperparameters, sources)
        _refuse_what_needs_a_hub(hyperparameters, sources)
        base = _base_model(folder, request.model, base_name)
        task = resolve_task(request, base.architecture)
        fit_to_task(tuning_method, task, hyperparameters, sources)
        is_classifier = task == "sequence_classification"
        require_layers_in_folder(hyperparameters, Path(base.path), repr(base.name), is_classifier=is_classifier)
    name = request.name or name
    training_file, validation_file = _data_files(folder, request, fields.get("reading"))
    if start is not None:
        start.require_base_model(base.name, base.sha256)
        start.require_data(training_file, validation_file)
    return FineTuningSpec(
        job_id=LOCAL,
        job_name=name,
        organization_id=LOCAL,
        organization=LOCAL,
        task=task,
        tuning_method=tuning_method,
        base_model=base,
        training_file=training_file,
        validation_file=validation_file,
        start_from=start and start.point,
        output=_output(request, tuning_method, base.name, name),
        hyperparameters=hyperparameters,
        seed=DEFAULT_SEED if request.seed is None else request.seed,
        sources=sources,
        code_version=__version__,
        domain=request.domain,
        tags=request.tags,
        metadata=request.metadata,
    )


def _base_model(folder: Path, named: str | None, name: str | None) -> BaseModelReference:
    path = _existing(folder, named, "base_model")
    model = inspect_model_folder(path)
    check_parameter_count(named or path.name, model.parameters)
    return BaseModelReference(
        name=name or folder_name(folder / Path(named or "").expanduser()),
        path=str(path),
        architecture=model.architecture,
        sha256=model.sha256,
        parameters=model.parameters,
        license=model.license,
    )


def folder_name(path: Path) -> str:
    """Return the name of a folder as it is given: of a link its own, and not that of what it leads to."""
    return Path(os.path.abspath(path)).name


def _start(folder: Path, request: JobRequest) -> Start | None:
    if request.from_checkpoint is None:
        return None
    path = _existing(folder, request.from_checkpoint, "from_checkpoint")
    return start_from_folder(path, request.from_checkpoint_state or "weights", LOCAL)


def _output(request: JobRequest, tuning_method: TuningMethod, model: str, name: str) -> Output:
    suffix = request.suffix or name
    return Output(
        name=request.output_model or slug(f"{model}-{suffix}"),
        kind="model" if tuning_method == "full" else "adapter",
        alias=f"ft:{model}:{LOCAL}:{re.sub(r'[^A-Za-z0-9._-]+', '-', suffix)}:{LOCAL}",
    )


def _refuse_what_needs_a_hub(hyperparameters: Hyperparameters, sources: dict[str, str]) -> None:
    if hyperparameters.promote_if is not None:
        said = "promote_if names a condition for the champion of a hub name; without a service there is no hub. Leave it out."
        refuse_or_leave_out("promote_if", said, hyperparameters, sources)


def named_run_dir(spec: FineTuningSpec, path: Path) -> Path | None:
    """Return the run directory that ``output_dir`` names, relative to the job file, or None if it names none."""
    named = spec.hyperparameters.output_dir
    return None if named is None else path.parent / Path(named).expanduser()


def _job_document(path: Path) -> dict[str, Any]:
    """Read the file; a data set in its place, the likeliest mistake, is refused in one sentence."""
    if not path.is_file():
        raise NotFoundError(f"There is no job file {path}. Check the path.")
    expected = "a job file is YAML or JSON with base_model and dataset"
    if path.suffix.lower() in _DATA_SUFFIXES:
        raise InvalidRequestError(
            f"{path} is no job file but looks like a data set; {expected}. "
            f"Write one that says 'dataset: {path.name}', and give that."
        )
    try:
        return read_document(path)
    except InvalidRequestError as error:
        if isinstance(error.__cause__, InvalidRequestError):
            raise  # a good file but for one key
        raise InvalidRequestError(f"{path} is no job file: {_fault(error)}; {expected}.") from error


def _fault(error: InvalidRequestError) -> str:
    """Return what is wrong in a few words, with the line where there is one."""
    cause = error.__cause__
    if isinstance(cause, UnicodeDecodeError | yaml.reader.ReaderError):
        return "it is no UTF-8 text"
    if isinstance(cause, OSError):
        return f"it cannot be read ({cause.strerror})"
    if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark is not None:
        return f"line {cause.problem_mark.line + 1} is no good YAML ({cause.problem})"
    if isinstance(cause, ValueError | RecursionError | yaml.YAMLError):
        return first_line(cause)
    return "it holds no fields (key: value)"


def _existing(folder: Path, named: str | None, field: str) -> Path:
    if named is None:
        raise InvalidRequestError(
            f"The field {field!r} is required; a checkpoint does not say where it lies.", param=field
        )
    path = (folder / Path(named).expanduser()).resolve()
    if named.startswith(HUB_SCHEME) and not path.exists():
        raise InvalidRequestError(_to_be_fetched(named, field), param=field)
    if not path.exists():
        raise NotFoundError(
            f"{field} is {named!r}, but there is no {path}; paths are relative to {folder.resolve()}.", param=field
        )
    return path


def _to_be_fetched(source: str, field: str) -> str:
    repository, _, revision = source.removeprefix(HUB_SCHEME).partition("@")
    kind = " --repo-type dataset" if field in ("dataset", "validation_dataset") else ""
    command = f"hf download{kind} {repository.partition(':')[0]}" + (f" --revision {revision}" if revision else "")
    return (
        f"{field} is {source!r}; training without a service fetches nothing from the Hugging Face Hub. Fetch it with "
        f"'{command} --local-dir FOLDER' and name that folder, or train with the service (afinador create fine-tune-job)."
    )


def _data_files(folder: Path, request: JobRequest, declared: Any) -> tuple[DataFile, DataFile | None]:
    reading = read_otherwise(None, declared, param="reading")
    training_file = _data_file(folder, request.training_file, "dataset", reading)
    if request.validation_file is None:
        return training_file, None
    held_out = read_otherwise(reading, request.validation_reading)
    return training_file, _data_file(folder, request.validation_file, "validation_dataset", held_out)


def _data_file(folder: Path, named: str | None, field: str, reading: DatasetReading | None) -> DataFile:
    path = _existing(folder, named, field)
    require_loader_allowed_here(reading)
    report = validate_dataset(path, path.name, reading)
    require_valid(report, path.name)
    require_trainable(report.shape, path.name, param=field)
    sha256, size = content_of(path)
    return DataFile(
        name=path.name,
        path=str(path),
        format=report.format,
        sha256=sha256,
        bytes=size,
        reading=reading,
    )
