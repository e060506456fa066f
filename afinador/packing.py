"""Folders as archives that are the same for the same files, whenever and wherever they are made."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from afinador.errors import InvalidRequestError


def pack(folder: Path, names: Sequence[str], archive: Path) -> None:
    """Put files of a folder into a tar archive, without owners and times.

    Args:
        folder: Where they lie.
        names: Relative to it, in the order in which they are put in.
        archive: Where to write it.
    """
    with tarfile.open(archive, "w") as opened:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as content:
                opened.addfile(entry, content)


def pack_folder(folder: Path, into: Path) -> Path:
    """Put all files of a folder, but for hidden ones, into ``NAME.tar`` in another one, and return where it lies.

    Raises:
        InvalidRequestError: There is none, or one cannot be read.
    """
    relative = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [path.as_posix() for path in relative if not any(part.startswith(".") for part in path.parts)]
    if not names:
        raise InvalidRequestError(
            f"Cannot read the folder {folder}: it holds no files. Name one with a data set.", param="file"
        )
    archive = into / f"{folder.resolve().name}.tar"
    try:
        pack(folder, names, archive)
    except OSError as error:
        raise InvalidRequestError(f"Cannot pack {folder}: {error.strerror}.", param="file") from error
    return archive
