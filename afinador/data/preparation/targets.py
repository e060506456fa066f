"""Where a preparation writes: into a folder that is there, and where nothing is yet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from afinador.errors import InvalidRequestError


def targets_of(target: Path, parts: Iterable[str]) -> list[Path]:
    """Return the files that will be written: one of each part, or the target itself of what is not split."""
    return [path_of_part(target, part) for part in parts] or [target]


def path_of_part(target: Path, part: str) -> Path:
    """Return where a part of a data set is written."""
    return target.with_name(f"{target.stem}-{part}{target.suffix}")


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
