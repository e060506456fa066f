"""When it makes sense to try a step again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import OperationalError

from afinador.errors import AfinadorError, ServiceUnavailableError, StorageError
from tasks.attempt import Attempt

RETRY_DELAYS_SECONDS: list[float] = [1, 3, 10, 30, 60]
"""How long a step that found storage, MLflow or the ledger away waits before each further try."""
TRANSIENT = (ServiceUnavailableError, StorageError, OperationalError)


@contextmanager
def said(attempt: Attempt, doing: str) -> Iterator[None]:
    """Write an event, once an attempt, when something that may come back is away; the step is then tried again."""
    try:
        yield
    except TRANSIENT as error:
        attempt.say(
            f"{doing} must wait: {reason_of(error)} It is tried again.",
            level="warn",
            key=f"away:{doing}:{attempt.number}",
        )
        raise


def reason_of(error: Exception) -> str:
    """Return what members may read of a transient error: what a database says may hold addresses and values."""
    return error.message if isinstance(error, AfinadorError) else "the ledger does not answer."


def is_transient(task: Any, task_run: Any, state: Any) -> bool:
    """Tell Prefect to retry when storage, MLflow or the ledger were away, and for nothing else."""
    return isinstance(state.result(raise_on_failure=False), TRANSIENT)
