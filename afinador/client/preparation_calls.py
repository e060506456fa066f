"""What is sent about preparations of data sets, and where."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from afinador.client.calls import Call, Named, id_of


def create_preparation(file: Named, steps: Any, output: str | None = None, base_model: str | None = None) -> Call:
    """Ask for a file to be taken through steps."""
    body = {"file": id_of(file), "steps": steps}
    if output:
        body["output"] = output
    if base_model:
        body["base_model"] = base_model
    return Call("POST", "/datasets/prepare", body=body)


def list_preparations() -> Call:
    """List preparations, newest first."""
    return Call("GET", "/datasets/preparations")


def get_preparation(preparation: Named) -> Call:
    """Get one preparation, by id."""
    return Call("GET", f"/datasets/preparations/{quote(id_of(preparation), safe='')}")


def cancel_preparation(preparation: Named) -> Call:
    """Cancel one preparation, by id."""
    return Call("POST", f"/datasets/preparations/{quote(id_of(preparation), safe='')}/cancel")
