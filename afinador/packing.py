"""Folders as archives that are the same for the same files, whenever and wherever they are made."""

from __future__ import annotations

import os
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


def pack_folder(folder: Path, into: Path, *, follows_links: bool = False) -> Path:
    """Put all files of a folder, but for hidden ones, into ``NAME.tar`` in another one, and return where it lies.

    Args:
        folder: Where they lie.
        into: Where to write it.
        follows_links: Take what links lead to, also where that lies elsewhere: for an archive that is not sent anywhere.

    Raises:
        InvalidRequestError: There is none, one cannot be read, or is a link that leads out of the folder.
    """
    try:
        names = _names_below(folder, follows_links)
        if not names:
            raise InvalidRequestError(
                f"Cannot read the folder {folder}: it holds no files. Name one with a data set.", param="file"
            )
        archive = into / f"{folder.resolve().name}.tar"
        pack(folder, names, archive)
    except OSError as error:
        # What tarfile says of a file that ends too soon has no words of the system.
        why = error.strerror or "a file became shorter while it was read; wait until it is written"
        where = f" ({error.filename})" if error.filename else ""
        raise InvalidRequestError(f"Cannot pack {folder}{where}: {why}.", param="file") from error
    return archive


def _names_below(folder: Path, follows_links: bool) -> list[str]:
    """Return the files below a folder, relative to it and in order."""
    paths = []
    for place, folders, files in os.walk(folder, onerror=_fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        paths += [Path(place, name) for name in (*files, *links) if not name.startswith(".")]
    for path in paths:
        leads_out = path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())
        if leads_out and not follows_links:
            raise InvalidRequestError(
                f"Cannot pack {folder}: {path.relative_to(folder)} is a link to a place outside of it. Copy the folder "
                "with what links lead to (cp -rL), and name the copy.",
                param="file",
            )
    relative = sorted(path.relative_to(folder) for path in paths if path.is_file())
    return [path.as_posix() for path in relative]


def _fail(error: OSError) -> None:
    raise error
