"""Jobs that Prefect starts: from the form of its UI, by a schedule, by a new version of a data set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from afinador.errors import AfinadorError
from flows.forms import JobForm, SavedSpec
from tasks import ending, run_log
from tasks.submission import Submission, create_job, link_to_jobs, retrain_specs

logger = logging.getLogger(__name__)

MISSING: Any = None
"""Lets a run without a parameter begin, so that a sentence and no traceback says which one; all are required."""


def _name_of_submission() -> str:
    return f"submit for {_parameter('organization')}"


def _name_of_retraining() -> str:
    return f"retrain on {_parameter('name')} of {_parameter('organization')}"


def _parameter(name: str) -> object:
    """Return a parameter of the run, which Prefect's own templates of names insist on."""
    return runtime.flow_run.parameters.get(name) or "nothing"


# The flow checks the parameters itself: its sentences name the field, the value and the remedy, Prefect's do not.
@flow(name="submit-fine-tune", flow_run_name=_name_of_submission, persist_result=False, validate_parameters=False)
def submit_fine_tune(organization: str = MISSING, request: SavedSpec | JobForm = MISSING) -> State:
    """Create a fine-tuning job and submit it, as the API does.

    Args:
        organization: Name of the organisation whose job it is.
        request: A whole request, or the name of a saved one.
    """
    return _outcome(lambda: [create_job(organization, request, str(runtime.flow_run.id))])


@flow(name="retrain", flow_run_name=_name_of_retraining, persist_result=False, validate_parameters=False)
def retrain(organization: str = MISSING, name: str = MISSING, version: int = MISSING) -> State:
    """Start the saved specs that give a file by name, for its newest version; doing it twice changes nothing.

    Args:
        organization: Name of the organisation whose file it is.
        name: Name of the file.
        version: The version that was uploaded.
    """
    return _outcome(lambda: retrain_specs(organization, name, version))


def _outcome(submit: Callable[[], list[Submission]]) -> State:
    """Return the run's state: failed when a job is, with a sentence that says why."""
    run_log.begin()
    try:
        submissions = submit()
        message = link_to_jobs(submissions)
    except AfinadorError as error:
        return Failed(message=error.message)
    except Exception as error:
        logger.exception("An error that nobody foresaw.")
        return Failed(message=ending.unforeseen(error).message)
    return Failed(message=message) if any(each.error for each in submissions) else Completed(message=message)
