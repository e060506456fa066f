"""Step 1: is the data what it should be? Before any device is taken."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.comparison import forget_what_the_other_reads, overlap_of
from afinador.data.dataset_reports import dataset_report
from afinador.data.extraction import extraction_of
from afinador.data.labels import LabelledFile, classes_of
from afinador.data.shapes import require_trainable
from afinador.data.task_fit import fitted
from afinador.data.validation import validate_dataset as check_dataset
from afinador.data.verdicts import Report
from afinador.figures import counted
from afinador.training.starting_files import require_classes
from registry import jobs
from registry.ledger.tables import File
from tasks.attempt import Attempt
from tasks.base_model import local_base
from tasks.data_files import local_copy
from tasks.dataset_report import keep_page, report_on_data
from tasks.retrying import RETRY_DELAYS_SECONDS, is_transient, said
from tasks.run_directory import prepare
from tasks.starting_point import local_start
from tasks.stops import stoppable

_FIELDS = ("training_file", "validation_file")


@task(
    task_run_name="validate dataset",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
@stoppable
def validate_dataset(attempt: Attempt) -> None:
    """Make the run directory ready: what the run was left with, data, base model, checkpoint, and ``spec.json``.

    Bytes and records are checked, with the tokenizer of the base model; the report on them is left as a page.

    Raises:
        DataError: A file is not what was uploaded, or has records or labels that cannot be trained on.
        ModelError: The base model is gone from the storage.
        CheckpointDamagedError: The checkpoint that the run starts from is not what was saved.
    """
    attempt.check()
    started_at = time.monotonic()
    with said(attempt, "Restoring the run"):
        prepare(attempt)
    spec = attempt.spec.model_copy(deep=True)
    files, reports = [], []
    for field in _FIELDS:
        data_file: DataFile | None = getattr(spec, field)
        if data_file is None:
            continue
        with said(attempt, "Reading the data"):
            data_file.path = str(local_copy(attempt.memory, attempt.run.path, data_file, field))
        report = check_dataset(Path(data_file.path), data_file.name, data_file.reading)
        data_file.format = report.format or data_file.format
        reports.append(report)
        files.append(LabelledFile(data_file.name, report.shape, report.labels))
    if spec.validation_file is not None:
        training, validation = reports
        if spec.validation_file.file_id == spec.training_file.file_id:
            forget_what_the_other_reads(training, validation)
        for sentence in overlap_of(training, validation, spec.training_file.name):
            attempt.say(f"{spec.validation_file.name}: {sentence}", level="warn", key=f"overlap:{sentence}")
    require_usable(attempt, spec, reports)
    classes = classes_of(*files) if spec.task == "sequence_classification" else []
    if classes:
        attempt.say(f"{len(classes)} classes are to be told apart.", key="classes")
    with said(attempt, "Fetching the base model"):
        spec.base_model = local_base(attempt.memory, spec.base_model)
    with said(attempt, "Asking the tokenizer"):
        report_on_data(attempt, spec, {name: report.to_json() for name, report in zip(_FIELDS, reports, strict=False)})
    if spec.start_from is not None:
        with said(attempt, f"Fetching the {spec.start_from.kind}"):
            spec.start_from = local_start(attempt.memory, attempt.run.path, spec.start_from)
        if classes and spec.start_from.state == "weights":
            require_classes(spec.start_from, classes)  # before a device is taken
    attempt.run.write_spec(spec)
    attempt.mark_done("validate")
    with attempt.memory.database.session() as session:
        jobs.add_phase(session, attempt.job_id, attempt.number, "validating", time.monotonic() - started_at)


def require_usable(attempt: Attempt, spec: FineTuningSpec, reports: Sequence[Report]) -> None:
    """Say that all records can be trained on; where some cannot, all that is wrong is left as a page first.

    Raises:
        DataError: A file has errors, labels that are no classes where they have to be, or documents that no prompt asks
            for, or is of a shape that is not trained on.
    """
    named = {field: (getattr(spec, field), report) for field, report in zip(_FIELDS, reports, strict=False)}
    read = [(file.name, report.to_json()) for file, report in named.values()]
    told = fitted(read, spec.task, asdict(extraction_of(spec.hyperparameters)))
    if any(found["errors"] for found in told):
        pages = zip(named.items(), told, strict=True)
        keep_page(attempt, {field: dataset_report(file.name, found) for (field, (file, _)), found in pages})
    for field, (file, report) in named.items():
        require_trainable(report.shape, file.name, param=field)
        _tell(attempt, field, file, report)


def _tell(attempt: Attempt, field: str, file: DataFile, report: Report) -> None:
    """Say that a file is good, how much in it is doubtful, and what of it is not read."""
    told = dataset_report(file.name, report.to_json())
    said = f"{file.name}: {counted(report.records, 'record')}, all well formed"
    if number := told.found()["warning"]:
        said += f"; {counted(number, 'warning')}, see: {_showing(attempt)}"
    attempt.say(f"{said}.", key=f"validated:{field}:{file.sha256}")
    for sentence in told.not_read(is_of_hub=file.source is not None):
        attempt.say(f"{file.name}: {sentence}", level="warn", key=f"not-read:{field}:{sentence}")


def _showing(attempt: Attempt) -> str:
    """Return the command that shows what is doubtful in the data of a job, held against each other as in the job."""
    training, held_out = attempt.spec.training_file, attempt.spec.validation_file
    words = ["afinador", "validate", "dataset", str(training.file_id)]
    if held_out is None:
        return shlex.join(words)
    with attempt.memory.database.reading() as session:
        declared = session.get_one(File, held_out.file_id).reading or {}
    read = held_out.reading.to_json() if held_out.reading else {}
    otherwise = {name: read.get(name, "") for name in (*declared, *read) if read.get(name) != declared.get(name)}
    words += ["--validation-dataset", str(held_out.file_id)]
    for name, value in otherwise.items():
        words += ["--validation-reading", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)
