"""The data sets of a request that are files on this disk."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.cli.command import UsageError
from afinador.errors import AfinadorError, NotFoundError
from afinador.schemas.dataset_formats import HUB_SCHEME

DATA_SETS = ("dataset", "validation_dataset")
"""The fields of a request that name one."""
_DECLARED = re.compile(r"\breading\.(\w+)")
"""In an error what is to be declared of how a data set is read, as the service calls it."""


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


def say_where_to_declare(error: AfinadorError, local: Mapping[str, Path]) -> None:
    """Add to an error that asks to declare how a data set is read which command has an option for that.

    Args:
        error: Of a command without those options.
        local: The data sets on this disk, by field.
    """
    options = [f"--{name.replace('_', '-')}" for name in dict.fromkeys(_DECLARED.findall(error.message))]
    named = [(field, path) for field, path in local.items() if path.name in error.message]
    if not options or not named:
        return
    field, path = named[0]
    value = "latin-1" if options[0] == "--encoding" else "…"
    others = f" (or {', '.join(options[1:])})" if options[1:] else ""
    error.message += (
        " Such is declared at the upload: upload the data set by itself first, with "
        f"'afinador create file {shlex.quote(str(path))} {options[0]} {value}'{others}, and give the id that this prints as "
        f"-{field.replace('_', '-')}."
    )
    error.args = (error.message,)
