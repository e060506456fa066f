"""The report on a job's data: what reading and the base model's tokenizer say, before any device is taken."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.dataset_reports import dataset_report, every_of, merged, reading_of
from afinador.data.extraction import extraction_of
from afinador.data.tokens.cache import code_and_libraries, identity_of
from afinador.data.tokens.process import TokenProcess
from afinador.errors import AfinadorError, DataError, ModelError, ServiceUnavailableError
from afinador.models.tokenizer_folders import tokenizer_folder
from afinador.report.dataset_page import dataset_page
from afinador.schemas.dataset_reports import DatasetReport
from afinador.training.caching import offer_cache
from afinador.training.run_dir import write_atomically
from registry.data_sets import token_caches
from tasks import artifacts
from tasks.attempt import Attempt
from tasks.curves import Curves
from tasks.filling import tokenise_large

logger = logging.getLogger(__name__)

MLFLOW_TIMEOUT_SECONDS = 20.0
"""So long a job that is refused waits until MLflow has its page; there alone it has a run before it is trained."""


def report_on_data(attempt: Attempt, spec: FineTuningSpec, reports: Mapping[str, dict[str, Any]]) -> None:
    """Ask the tokenizer about the data, leave the report as a page and in Prefect, and offer the cache of tokens.

    Of large files the tokenizer is asked about a part for the report; then they are tokenised whole, into the cache.

    Args:
        attempt: Of the job.
        spec: With local paths of base model and data.
        reports: What reading has found of ``training_file`` and perhaps ``validation_file``.

    Raises:
        DataError: A record cannot be trained on by this base model, or has nothing to be learnt.
    """
    settings = attempt.memory.settings
    folder = token_caches.folder_of(settings, spec.organization_id)
    offer_cache(attempt.run, folder, settings.token_cache_bytes)
    with TokenProcess() as process:
        found = {
            field: _report(attempt, process, spec, getattr(spec, field), report, folder)
            for field, report in reports.items()
        }
    keep_page(attempt, found)
    tokenise_large(attempt, spec, reports, folder)


def keep_page(attempt: Attempt, found: Mapping[str, DatasetReport]) -> None:
    """Leave the reports as a page and in Prefect; of a job that is refused in MLflow, too.

    Args:
        attempt: Of the job.
        found: On ``training_file`` and perhaps ``validation_file``.

    Raises:
        DataError: One of them says that its file cannot be trained on.
    """
    shown = found["training_file"]
    shown.validation = found.get("validation_file")
    write_atomically(attempt.run.path / artifacts.DATA_PAGE, dataset_page(shown))
    artifacts.show_data(attempt, shown)
    if not all(report.valid for report in found.values()):
        _show_in_mlflow(attempt)
    for field, report in found.items():
        if not report.valid:
            problems = [fault.message for fault in report.errors]
            error = DataError(report.summary, param=field, problems=problems)
            # What is said of labels names the file as its subject.
            if not re.search(rf"(^| of ){re.escape(report.file)} (holds|has|have) ", report.summary):
                error.begin_with(report.file)
            raise error


def _show_in_mlflow(attempt: Attempt) -> None:
    """Leave the page in a run of MLflow, which fails with the job, and a link to it in Prefect."""
    opened = Curves(attempt).close(MLFLOW_TIMEOUT_SECONDS)
    if opened is not None:
        artifacts.show_run(attempt, *opened)


def _report(
    attempt: Attempt, process: TokenProcess, spec: FineTuningSpec, file: DataFile, read: dict[str, Any], folder: Path
) -> DatasetReport:
    try:
        base = tokenizer_folder(Path(spec.base_model.path))
        limits = base.limits(spec.task, spec.hyperparameters.max_length)
        every = every_of(read)
        kept = folder / f"{_name(spec, file, limits, every)}.json"
        checked = _kept(kept)
        if checked is None:
            declared = file.reading.to_json() if file.reading else None
            reading = reading_of(Path(file.path), read, declared, asdict(extraction_of(spec.hyperparameters)))
            checked = process.check(base.path, reading, limits, every=every)
            _keep(kept, checked, attempt)
    except (ModelError, ServiceUnavailableError, OSError) as error:
        if isinstance(error, AfinadorError):
            error.name_instead_of(spec.base_model.path, repr(spec.base_model.name))
        said = error.message if isinstance(error, AfinadorError) else error.strerror
        attempt.say(f"The tokenizer was not asked about {file.name}: {said}", level="warn")
        return dataset_report(file.name, read)
    whole = merged(read, checked, spec.base_model.name)
    return dataset_report(file.name, whole)


def _name(spec: FineTuningSpec, file: DataFile, limits: dict[str, Any], every: int) -> str:
    """Name figures by all that they depend on, so that the next job on the same data need not ask."""
    parts = [
        identity_of(file),
        asdict(extraction_of(spec.hyperparameters)),
        spec.base_model.sha256,
        limits,
        every,
        code_and_libraries(),
    ]
    return f"{file.sha256}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}"


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        checked: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return checked if isinstance(checked, dict) and "tokens" in checked else None


def _keep(path: Path, checked: dict[str, Any], attempt: Attempt) -> None:
    if not attempt.memory.settings.token_cache_bytes:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(checked))
    except OSError as error:
        logger.warning("What the tokenizer said is not kept for later jobs: %s", error)
