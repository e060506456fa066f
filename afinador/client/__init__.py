"""The SDK: the service's nouns and verbs over HTTP.

``calls`` says what is sent where, ``connection`` sends it, ``paging``, ``following`` and ``downloads`` are what takes
more than one call, and ``Afinador`` puts types on all of it. The command line stops one step earlier, at plain
dictionaries, which is why ``Afinador`` is looked up on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afinador.client.client import Afinador

__all__ = ["Afinador"]


def __getattr__(name: str) -> Any:
    if name == "Afinador":
        return import_module("afinador.client.client").Afinador
    raise AttributeError(f"module 'afinador.client' has no attribute {name!r}")
