"""The SDK: the service's nouns and verbs over HTTP, in two kinds of one making.

``calls`` says what is sent where, ``sending`` how, ``results`` what comes back. Over them stands one client, written
once in ``asynchronous``: ``connection`` sends, ``paging``, ``following``, ``uploads`` and ``downloads`` are what takes
more than one call, and ``AsyncAfinador`` puts types on all of it. Their namesakes here are made of them by
``docs/generate.py``. The command line stops one step earlier, at plain dictionaries, which is why the clients are looked
up on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Afinador", "AsyncAfinador"]

_HOMES = {"Afinador": "afinador.client.client", "AsyncAfinador": "afinador.client.asynchronous.client"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'afinador.client' has no attribute {name!r}")
