"""What a job asks of the machine it will run on, judged before there is one."""

from __future__ import annotations

from collections.abc import Mapping

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import InvalidRequestError
from afinador.schemas.jobs import TuningMethod

FLASH = "flash_attention_2"
_INSTEAD = "Use attention 'auto', 'sdpa' or 'eager'"


def require_device(
    pool: str | None, method: TuningMethod, hyperparameters: Hyperparameters, workers_online: Mapping[str, int]
) -> None:
    """Refuse an attention that no machine of the job's pool can compute.

    Whether the package for it is installed, only the machine itself knows: loading the model asks it.

    Args:
        pool: The one that is asked for.
        method: Of the job.
        hyperparameters: Of the job.
        workers_online: How many workers each pool has; of a pool that is missing nothing is known.

    Raises:
        InvalidRequestError: It needs a GPU, and the pool has none; or weights in bfloat16, and they are not.
    """
    if hyperparameters.attention != FLASH:
        return
    lacks = None
    if method == "full":
        lacks = f"weights in bfloat16; tuning_method 'full' holds them in float32. {_INSTEAD}."
    elif hyperparameters.precision == "float32":
        lacks = f"weights in bfloat16; precision is 'float32'. {_INSTEAD}, or leave precision out."
    elif pool == "cpu":
        lacks = f"a GPU; pool is 'cpu'. {_INSTEAD}, or pool 'gpu'."
    elif pool is None and workers_online.get("gpu") == 0:
        lacks = f"a GPU; no worker of the pool 'gpu' is online. {_INSTEAD}, or give pool 'gpu' to wait for one."
    if lacks:
        raise InvalidRequestError(f"attention is {FLASH!r}, which needs {lacks}", param="hyperparameters.attention")


def pool_of(pool: str | None, hyperparameters: Hyperparameters) -> str | None:
    """Return the work pool that a job has to run in; None where any will do."""
    return "gpu" if hyperparameters.attention == FLASH else pool
