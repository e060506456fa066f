"""The data sets of a request that are files on this disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from afinador.cli.command import UsageError
from afinador.errors import NotFoundError
from afinador.schemas.dataset_formats import HUB_SCHEME

DATA_SETS = ("dataset", "validation_dataset")
"""The fields of a request that name one."""


def local_data_sets(body: dict[str, Any]) -> dict[str, Path]:
    """Return those data sets that are files on this disk; all others are for the service to find.

    Raises:
        NotFoundError: One is clearly a path, and nothing lies there.
        UsageError: One is a folder.
    """
    local = {}
    for field in DATA_SETS:
        if body.get(field) is None:
            continue
        reference, option = str(body[field]), f"-{field.replace('_', '-')}"
        path = Path(reference).expanduser()
        if reference.startswith(HUB_SCHEME):
            continue
        if path.is_file():
            local[field] = path
        elif path.is_dir():
            raise UsageError(
                f"{option} {reference!r} is a folder; give one file in it, or make it a data set of the service with "
                f"'afinador create file {reference}', and give the id of that."
            )
        elif "/" in reference:
            raise NotFoundError(
                f"{option} {reference!r}: there is no such file.{named_nearly(path) or ' Check the path.'}"
            )
    return local


def named_nearly(path: Path) -> str:
    """Say which data sets lie where a path would lead if their extension were left out of it; empty if none do."""
    from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of

    if not path.parent.is_dir():
        return ""
    found = sorted(
        str(path.parent / each.name)
        for each in path.parent.iterdir()
        if each.name.startswith(f"{path.name}.")
        and each.name.lower().startswith(f"{path.name}{extension_of(each.name)}".lower())
        and extension_of(each.name) in FORMATS_BY_EXTENSION
        and each.is_file()
    )
    if not found:
        return ""
    lie = "lies" if len(found) == 1 else "lie"
    return f" {' and '.join(map(repr, found))} {lie} here: name {'it' if len(found) == 1 else 'one'} whole, and it is uploaded."
