"""Unpacks archives into a folder of their own: never outside of it, no links, no more than is allowed."""

from __future__ import annotations

import io
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Self

from afinador.data.files.compressed import MAX_UNPACKED_BYTES, Allowance, open_unpacked
from afinador.data.quoting import shortened
from afinador.errors import DataError, InsufficientStorageError
from afinador.storage import is_disk_full

MOST_FILES = 100_000
"""The most that an archive or a folder may hold."""

LONGEST_NAME = 1000
MOST_LIST_BYTES = 128 * 2**20
MOST_HEADER_BYTES = 2**20

_COPY_BYTES = 1 << 20
_ENTRY_OF_ZIP = b"PK\x01\x02"
_DESCRIPTIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_DRIVE = re.compile(r"[A-Za-z]:")
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    NotImplementedError, ValueError, OverflowError, UnicodeError,
)  # fmt: skip


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a folder with the files of an archive, which goes afterwards; a folder is given as it is.

    Raises:
        DataError: The archive is damaged or encrypted; holds links, devices or names that lead out of it; or is more
            than 4 GiB, 200 times its size or 100,000 files.
        InsufficientStorageError: The disk for temporary files is too full for what the archive says it holds.
    """
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="afinador-archive-") as temporary:
        target = Path(temporary)
        try:
            with path.open("rb") as file:
                is_zip = file.read(2) == b"PK"
            (_unpack_zip if is_zip else _unpack_tar)(path, target)
        except _BROKEN as error:
            raise DataError("The archive is damaged or cut off, or compressed in a rare way. Make it again.") from error
        except OSError as error:
            if is_disk_full(error):
                raise InsufficientStorageError("The disk for temporary files is full; free some space.") from error
            raise _unwritable(error, target) from error
        yield target


def _unpack_zip(path: Path, target: Path) -> None:
    allowance = Allowance(path.stat().st_size)
    with _ZipFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:  # type: ignore[arg-type]
        members = archive.infolist()
        _require_room(target, sum(member.file_size for member in members), allowance)
        for member in members:
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(member.filename, "a link or a device")
            if member.flag_bits & 1:
                raise _refused(member.filename, "encrypted")
            if not member.is_dir():
                with archive.open(member) as source:
                    _copy(source, _place(target, member.filename), allowance)


def _unpack_tar(path: Path, target: Path) -> None:
    allowance = Allowance(path.stat().st_size)
    with open_unpacked(path) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=_TarHeader) as archive:
        for number, member in enumerate(archive, start=1):
            _require_few(number)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise _refused(member.name, "a link, a device or a sparse file")
            _require_room(target, member.size, allowance)
            source = archive.extractfile(member)
            if source is not None:
                _copy(source, _place(target, member.name), allowance)


class _ZipFile(io.BufferedReader):
    """A zip whose list of files, which is read in one piece, is looked at before anything is made of it."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_LIST_BYTES:
            _require_few(MOST_FILES + 1)
        data = super().read(size)
        _require_few(data.count(_ENTRY_OF_ZIP))
        return data


class _TarHeader(tarfile.TarInfo):
    """A header of a tar; names and the like stand in members of their own, which are read as a whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type == tarfile.GNUTYPE_SPARSE:  # whose description may go on for ever
            raise _refused(header.name, "a sparse file")
        if header.type in _DESCRIPTIONS and header.size > MOST_HEADER_BYTES:
            raise DataError(
                f"The archive describes a file with {header.size} bytes; at most {MOST_HEADER_BYTES} are read. Make it again."
            )
        return header


def _require_room(target: Path, size: int, allowance: Allowance) -> None:
    """Do nothing if what an archive says of its size is allowed, and there is room for it."""
    if size > MAX_UNPACKED_BYTES:
        allowance.take(MAX_UNPACKED_BYTES + 1)
    free = shutil.disk_usage(target).free
    if size > free:
        raise InsufficientStorageError(
            f"The archive unpacks to {size} bytes, and the disk for temporary files has {free} free. Free some space, or "
            "let TMPDIR name a larger disk."
        )


def _require_few(files: int) -> None:
    if files > MOST_FILES:
        raise DataError(f"The archive holds more than {MOST_FILES} files, the most that are read. Join them.")


def _place(target: Path, name: str) -> Path:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or name.startswith(("/", "\\")) or _DRIVE.match(name) or "\x00" in name:
        raise _refused(name, "named so that it would lie outside of the archive")
    if not name.isprintable():
        raise _refused(
            name.encode("utf-8", "backslashreplace").decode(), "named with what is no UTF-8, or cannot be printed"
        )
    if len(name) > LONGEST_NAME:
        raise _refused(name, "named with more than 1000 characters")
    return target.joinpath(*parts)


def _copy(source: IO[bytes], path: Path, allowance: Allowance) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while data := source.read(_COPY_BYTES):
            allowance.take(len(data))
            file.write(data)


def _unwritable(error: OSError, target: Path) -> DataError:
    name = str(error.filename or "").removeprefix(f"{target}/")
    return DataError(
        f"The archive holds {shortened(name)}, which cannot be unpacked ({error.strerror}); allowed are names of at most "
        "255 bytes between slashes, each once, and none that is a file and a folder. Rename it, and make the archive again."
    )


def _refused(name: str, what: str) -> DataError:
    return DataError(
        f"The archive holds {shortened(name)}, which is {what}; only files and folders with plain names inside of it are "
        "unpacked. Make it without."
    )
