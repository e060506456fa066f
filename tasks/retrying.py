"""When it makes sense to try a step again."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import OperationalError

from afinador.errors import ServiceUnavailableError, StorageError

TRANSIENT = (ServiceUnavailableError, StorageError, OperationalError)


def is_transient(task: Any, task_run: Any, state: Any) -> bool:
    """Tell Prefect to retry when storage, MLflow or the ledger were away, and for nothing else."""
    return isinstance(state.result(raise_on_failure=False), TRANSIENT)
