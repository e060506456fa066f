"""The report of a job that has ended, kept where people look for it: run directory, storage and MLflow."""

from __future__ import annotations

import logging

from registry.prefect_runs import job_reports
from registry.tracking.experiments import Experiments
from tasks.attempt import Attempt

logger = logging.getLogger(__name__)


def keep_report(attempt: Attempt, opened: tuple[Experiments, str] | None = None) -> bool:
    """Write the page of the job; a job has ended as it has ended, whatever becomes of its page.

    Args:
        attempt: The one that has ended the job.
        opened: MLflow and the id of the job's run, where the page is to be shown there, too.

    Returns:
        Whether MLflow has it.
    """
    try:
        page = job_reports.keep(attempt.memory, attempt.job_id)
        if page is None or opened is None:
            return False
        experiments, run_id = opened
        experiments.log_report(attempt.spec.organization, run_id, page)
    except Exception:
        logger.warning("The report was not kept; the API makes it anew whenever it is asked for.", exc_info=True)
        return False
    return True
