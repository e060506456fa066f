"""The craft of fine-tuning: what a fine-tune is. Knows no Prefect, no MLflow and no FastAPI.

``from afinador import Afinador`` (or ``AsyncAfinador``) gives the client of a running service, ``from
afinador.training import FineTuner`` the craft in this process, ``afinador.fine_tuning`` jobs in this process. Names are
looked up on first use, so that the command line starts fast.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Afinador", "AfinadorError", "AsyncAfinador", "__version__"]

_HOMES = {"Afinador": "afinador.client", "AsyncAfinador": "afinador.client", "AfinadorError": "afinador.errors"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'afinador' has no attribute {name!r}")
