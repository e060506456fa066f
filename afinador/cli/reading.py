"""Options that say how a data set is to be read, for all commands that take one."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli.command import Parser, UsageError
from afinador.cli.service import assignment
from afinador.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

_OPTIONS = {
    "format": ("FORMAT", "jsonl, json, csv, text, parquet, arrow or folder, instead of what name and content say"),
    "encoding": ("NAME", "utf-8, utf-16, latin-1 or windows-1252"),
    "text_unit": ("UNIT", "documents, parted by blank lines (default), or lines: what a record of a TEXT file is"),
    "delimiter": ("CHARACTER", "of a CSV; tab for a tabulator"),
    "quote_character": ("CHARACTER", "of a CSV, around values; none where quotes are characters like all others"),
    "escape_character": ("CHARACTER", "of a CSV, before quotes inside of quoted values; none where they are doubled"),
    "columns": ("A,B", "names of the columns of a CSV without a header line"),
    "shape": ("SHAPE", "what the records are, see docs/formats.md"),
    "mapping": ("FILE", "YAML or JSON, a file or the text itself: by field the column it is taken from, or a template"),
    "config": ("NAME", "of a repository of data files"),
    "split": ("NAME", "of a folder, an archive or a data set of the Hugging Face Hub (default: train; all: every one)"),
    "loader": ("MODULE:FUNCTION", "of a module that the operator has allowed"),
}
_EXAMPLE = "'{prompt: question, completion: answer}'"


def add_reading_options(parser: Parser) -> None:
    """Add the options."""
    group = parser.add_argument_group("how it is to be read, where its name and content do not say it")
    for name, (metavar, meaning) in _OPTIONS.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=meaning)


def reading_of(arguments: argparse.Namespace) -> DatasetReading | None:
    """Return what the options declare; None if they declare nothing.

    Raises:
        InvalidRequestError: A value is wrong, or the file of the mapping cannot be read.
    """
    from afinador.schemas.datasets import parse_reading

    given: dict[str, Any] = {name: getattr(arguments, name) for name in _OPTIONS}
    if given["mapping"] is not None:
        given["mapping"] = _mapping_of(given["mapping"])
    return parse_reading(given)


def add_validation_reading_options(parser: Parser) -> None:
    """Add the options for what is otherwise with the held-out data set than with the other."""
    group = parser.add_argument_group("how the held-out data set is to be read, where that is otherwise")
    group.add_argument(
        "--validation-split", metavar="NAME", help="its split; without --validation-dataset that of what is trained on"
    )
    group.add_argument(
        "--validation-reading",
        action="append",
        type=assignment,
        metavar="KEY=VALUE",
        help=f"any of {', '.join(_OPTIONS)}; KEY= takes one back; may be given again",
    )


def validation_reading_of(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return what these options declare, as ``read_otherwise`` takes it; None if they declare nothing.

    Raises:
        UsageError: A key is given twice.
        InvalidRequestError: The mapping cannot be read.
    """
    pairs = list(arguments.validation_reading or [])
    if arguments.validation_split is not None:
        pairs.append(("split", arguments.validation_split))
    given: dict[str, Any] = {}
    for key, value in pairs:
        name = key.replace("-", "_")
        if name in given:
            raise UsageError(f"--validation-reading gives {name} twice; give it once.")
        given[name] = (_mapping_of(value) if name == "mapping" else value) if value else None
    return given or None


def _mapping_of(given: str) -> Any:
    """Return the mapping that is given as a file, or as YAML or JSON; what is none of them as it is, for who reads JSON."""
    from afinador.config.documents import read_document

    if given.lstrip().startswith("{"):
        return _written(given) or given
    if not os.path.isfile(Path(given).expanduser()) and re.search(r":(?:\s|\Z)", given):
        found = _written(given) or _written(f"{{{given}}}")
        if found is None:
            raise InvalidRequestError(
                f"--mapping {given[:100]!r} is neither a file nor a mapping. Write it as {_EXAMPLE}, and templates between "
                "quotes of their own.",
                param="mapping",
            )
        return found
    try:
        return read_document(Path(given).expanduser())
    except NotFoundError as error:
        error.message += f" If it is meant as the mapping itself, write it as {_EXAMPLE}."
        error.args = (error.message,)
        raise


def _written(text: str) -> dict[str, Any] | None:
    """Return the object that a text is; None if it is none."""
    from afinador.config.documents import read_value

    try:
        found = read_value(text)
    except InvalidRequestError as error:
        if error.param is None:  # no YAML
            return None
        raise InvalidRequestError(f"--mapping: {error.message}", param="mapping") from error
    return found if isinstance(found, dict) else None


def allowed_reading_of(arguments: argparse.Namespace) -> DatasetReading | None:
    """Return what the options declare, for use on this machine.

    Raises:
        InvalidRequestError: As ``reading_of``; or the loader is of no module that ``AFINADOR_CONFIG`` allows.
    """
    from afinador.data.files.loaders import require_loader_allowed_here

    reading = reading_of(arguments)
    require_loader_allowed_here(reading)
    return reading
