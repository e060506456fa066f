"""Step 1: is the data what it should be? Before any device is taken."""

from __future__ import annotations

import time
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from afinador.config.spec import DataFile
from afinador.data.labels import LabelledFile, classes_of
from afinador.data.shapes import require_trainable
from afinador.data.validation import overlap_of, require_valid
from afinador.data.validation import validate_dataset as check_dataset
from registry import jobs
from tasks.attempt import Attempt
from tasks.base_model import local_base
from tasks.data_files import local_copy
from tasks.dataset_report import report_on_data
from tasks.retrying import RETRY_DELAYS_SECONDS, is_transient, said
from tasks.run_directory import prepare
from tasks.starting_point import local_start

_FIELDS = ("training_file", "validation_file")


@task(
    task_run_name="validate dataset",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
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
        require_valid(report, data_file.name, param=field)
        reports.append(report)
        require_trainable(report.shape, data_file.name, param=field)
        files.append(LabelledFile(data_file.name, report.shape, report.labels))
        attempt.say(f"{data_file.name}: {report.records} records, all usable.", key=f"validated:{data_file.sha256}")
    if spec.validation_file is not None:
        training, validation = reports
        for sentence in overlap_of(training, validation, spec.training_file.name):
            attempt.say(f"{spec.validation_file.name}: {sentence}", level="warn", key=f"overlap:{sentence}")
    if spec.task == "sequence_classification":
        classes = classes_of(*files)
        attempt.say(f"{len(classes)} classes are to be told apart.", key="classes")
    with said(attempt, "Fetching the base model"):
        spec.base_model = local_base(attempt.memory, spec.base_model)
    with said(attempt, "Asking the tokenizer"):
        report_on_data(attempt, spec, {name: report.to_json() for name, report in zip(_FIELDS, reports, strict=False)})
    if spec.start_from is not None:
        with said(attempt, f"Fetching the {spec.start_from.kind}"):
            spec.start_from = local_start(attempt.memory, attempt.run.path, spec.start_from)
    attempt.run.write_spec(spec)
    attempt.mark_done("validate")
    with attempt.memory.database.session() as session:
        jobs.add_phase(session, attempt.job_id, attempt.number, "validating", time.monotonic() - started_at)
