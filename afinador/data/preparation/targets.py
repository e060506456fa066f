"""Where a preparation writes: into a folder that is there, and where nothing is yet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from afinador.data.files.formats import (
    COMPRESSIONS,
    FORMATS,
    FORMATS_BY_EXTENSION,
    compression_of,
    extension_of,
    parted_name,
)
from afinador.data.files.writers import EXTENSIONS
from afinador.data.records import Format
from afinador.errors import InvalidRequestError

WRITTEN_EXTENSIONS = tuple(extension for row in FORMATS.values() if row.is_written for extension in row.extensions)


def format_of_name(name: str) -> Format:
    """Return the format that an extension means; behind that of a text format may stand that of a compression.

    Raises:
        InvalidRequestError: It means none that is written.
    """
    extension, compression = extension_of(name), compression_of(name) or ""
    format = FORMATS_BY_EXTENSION.get(extension)
    if format not in EXTENSIONS:
        raise InvalidRequestError(
            f"{name!r} has an extension that says no format which is written; give one of: "
            f"{', '.join(WRITTEN_EXTENSIONS)}. Behind that of a text format {' or '.join(COMPRESSIONS)} compresses it.",
            param="output",
        )
    if compression and not FORMATS[format].is_text:
        raise InvalidRequestError(
            f"{name!r} would be {FORMATS[format].title} in a compressed file, which is not read again. Leave {compression} out.",
            param="output",
        )
    if not name.lower().endswith(extension + compression):
        raise InvalidRequestError(
            f"{name!r} would be compressed twice, which is not read again. Leave {compression} out.", param="output"
        )
    return format


def prepared_name(name: str, format: Format) -> str:
    """Return what a prepared data set is called where nobody says; a text of a compressed one is compressed like it."""
    compression = (compression_of(name) or "") if FORMATS[format].is_text else ""
    return f"{parted_name(name)[0]}-prepared{EXTENSIONS[format]}{compression}"


def targets_of(target: Path, parts: Iterable[str]) -> list[Path]:
    """Return the files that will be written: one of each part, or the target itself of what is not split."""
    return [path_of_part(target, part) for part in parts] or [target]


def path_of_part(target: Path, part: str) -> Path:
    """Return where a part of a data set is written."""
    stem, ending = parted_name(target.name)
    return target.with_name(f"{stem}-{part}{ending}")


def lineage_beside(target: Path) -> Path:
    """Return where the lineage of a prepared file is written down."""
    return target.with_name(f"{target.name}.lineage.json")


def require_free(paths: Iterable[Path], source: Path, *, overwrite: bool) -> None:
    """Do nothing if files may be written.

    Args:
        paths: All that will be written.
        source: The data set, which is never written over.
        overwrite: Whether what is there may go.

    Raises:
        InvalidRequestError: One is the data set itself, or is there already and may not go; or its folder is not there.
    """
    paths = list(paths)
    for folder in {path.parent for path in paths if not path.parent.is_dir()}:
        raise InvalidRequestError(
            f"The output is to be written in {folder}, and there is no such folder. Make it, or name another one.",
            param="output",
        )
    for path in paths:
        if path.resolve() == source.resolve():
            raise InvalidRequestError(
                f"The output {path.name} is the data set itself. Name another file.", param="output"
            )
    there = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if there and not overwrite:
        raise InvalidRequestError(
            f"{' and '.join(there)} {'exists' if len(there) == 1 else 'exist'} already, and nothing is written over. "
            "Name another output, or allow it with --overwrite (in Python overwrite=True).",
            param="output",
        )
