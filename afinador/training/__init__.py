"""From a specification and data to weights. Talks to the rest of the world through the run directory only.

``accelerate_loop`` is the engine; read it first. Names are looked up on first use, so that a training process can say
that it has started before it imports torch.
"""

from importlib import import_module
from typing import Any

__all__ = ["FineTuner", "Result"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("afinador.training.fine_tuner"), name)
    raise AttributeError(f"module 'afinador.training' has no attribute {name!r}")
