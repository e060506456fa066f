"""The curves of a job as OpenAI's result file, a CSV with a row for each logged step."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from sqlalchemy.orm import Session

from afinador.storage import sha256_of
from afinador.training.run_dir import RunDir
from registry import jobs
from registry.data_sets import files
from tasks.attempt import Attempt

logger = logging.getLogger(__name__)

CURVE_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "accuracy",
}
"""Columns of the result file, as OpenAI names them, and what they are in ``metrics.jsonl``."""


def write_curve(run: RunDir) -> Path:
    """Write the curves of a run into ``step_metrics.csv``, one row a logged step, and return its path."""
    rows, _ = run.metrics_after(0)
    by_step: dict[int, dict[str, object]] = {}
    for row in rows:
        by_step.setdefault(row["step"], {}).update(row)
    path = run.path / "step_metrics.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CURVE_COLUMNS)
        for _, row in sorted(by_step.items()):
            writer.writerow([row.get(name, "") for name in CURVE_COLUMNS.values()])
    return path


def keep_result_file(session: Session, attempt: Attempt) -> None:
    """Store the curves as a file of the organisation, and name it in the job.

    Raises:
        StorageError: The storage is away.
    """
    path = write_curve(attempt.run)
    kept = files.create(
        session,
        attempt.memory,
        attempt.spec.organization_id,
        path,
        f"{attempt.job_id}.csv",
        "fine-tune-results",
        sha256_of(path),
        path.stat().st_size,
    )
    jobs.set_fields(session, attempt.job_id, attempt.number, result_files=[kept.id])


def keep_what_was_trained(attempt: Attempt) -> None:
    """Keep the curves of a job that failed or was cancelled, if it has any; it has ended, whatever becomes of them."""
    try:
        if not attempt.run.metrics_after(0)[0]:
            return
        with attempt.memory.database.session() as session:
            keep_result_file(session, attempt)
    except Exception:
        logger.warning("The result file was not kept; the API has the curves all the same.", exc_info=True)
