"""One small door to ``file://`` and ``s3://``.

Keys are relative, with forward slashes, such as ``acme/files/file-1/data.jsonl``; nobody above this module knows
where the bytes lie.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from afinador.errors import InsufficientStorageError, NotFoundError, StorageError
from afinador.wording import without_paths

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
FREE_MARGIN_BYTES = 256 * 1024 * 1024
"""What must stay free on a disk after a large write."""


def require_free_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Check that a write fits on the disk of ``folder`` and leaves a margin.

    Raises:
        InsufficientStorageError: Less than ``needed_bytes`` plus 256 MiB is free.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes + FREE_MARGIN_BYTES:
        raise InsufficientStorageError(
            f"{what} needs {needed_bytes / 1e6:.0f} MB and a margin of {FREE_MARGIN_BYTES / 1e6:.0f} MB on the disk; "
            f"{free_bytes / 1e6:.0f} MB are free. Free some space, or move AFINADOR_HOME or AFINADOR_STORAGE_URL to a "
            "larger disk."
        )


def is_disk_full(error: Exception) -> bool:
    """Tell whether a write failed for lack of space; safetensors has no number for it, only the system's sentence."""
    is_known = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return is_known or "No space left on device" in str(error)


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file under another name, and give it its own when it is on the disk; what does not fit goes again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _checked(key: str) -> str:
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise StorageError(f"{key!r} is not a storage key: it must be relative and hold no '..'.")
    return "/".join(parts)


class Storage:
    """Files below one URL, by key.

    Args:
        url: ``file:///folder`` or ``s3://bucket/prefix``; credentials and endpoint of S3 come from ``AWS_*``.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # not there where only the SDK is installed, which hashes files too

        self.url = url.rstrip("/")
        self._files, root = fsspec.core.url_to_fs(self.url)
        self._root = str(root).rstrip("/")
        self.is_local = self.url.startswith("file://")

    def _path(self, key: str) -> str:
        return f"{self._root}/{_checked(key)}"

    def uri(self, key: str) -> str:
        """Return the full address of a key, for programs that read the storage themselves."""
        return f"{self.url}/{_checked(key)}"

    def local_path(self, key: str) -> Path | None:
        """Return where a key lies on this disk, or None if the storage is not a local folder."""
        return Path(self._path(key)) if self.is_local else None

    def put_file(self, source: Path, key: str) -> None:
        """Copy a local file in; it appears whole or not at all.

        Raises:
            InsufficientStorageError: The disk of a local storage is too full, or becomes so while it is written.
            StorageError: The storage refuses or does not answer.
        """
        target = self._path(key)
        try:
            if self.is_local:
                require_free_space(Path(self._root), source.stat().st_size, f"Storing {source.name}")
                _copy_whole(source, Path(target))
            else:
                self._files.put_file(str(source), target)
        except OSError as error:
            if is_disk_full(error):
                raise InsufficientStorageError(
                    f"The storage's disk is full: {source.name} does not fit. Free some space, or move "
                    "AFINADOR_STORAGE_URL to a larger disk."
                ) from error
            raise self._failure(f"Cannot store {key!r}", error) from error

    def put_folder(self, source: Path, prefix: str) -> None:
        """Copy all files below a local folder in."""
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.put_file(path, f"{prefix}/{path.relative_to(source).as_posix()}")

    def get_file(self, key: str, target: Path) -> None:
        """Copy a file out.

        Raises:
            NotFoundError: There is no such key.
            StorageError: The storage does not answer.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            self._files.get_file(self._path(key), str(temporary))
        except FileNotFoundError as error:
            raise NotFoundError(f"The storage has no {key!r}.") from error
        except OSError as error:
            raise self._failure(f"Cannot read {key!r}", error) from error
        temporary.rename(target)

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            NotFoundError: There is no such key.
            StorageError: The storage does not answer.
        """
        try:
            return self._files.open(self._path(key), "rb")  # type: ignore[no-any-return]
        except FileNotFoundError as error:
            raise NotFoundError(f"The storage has no {key!r}.") from error
        except OSError as error:
            raise self._failure(f"Cannot read {key!r}", error) from error

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield a file's bytes, 1 MiB at a time."""
        with self.open(key) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    def list(self, prefix: str) -> list[str]:
        """Return all keys below a prefix, sorted; empty when there are none."""
        root = self._path(prefix)
        try:
            found = self._files.find(root)
        except FileNotFoundError:
            return []
        return sorted(path[len(self._root) + 1 :] for path in found)

    def exists(self, key: str) -> bool:
        """Tell whether a file lies under this key."""
        return bool(self._files.isfile(self._path(key)))

    def delete(self, prefix: str) -> None:
        """Remove a file, or everything below a prefix; nothing happens when there is nothing."""
        try:
            self._files.rm(self._path(prefix), recursive=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failure(f"Cannot delete {prefix!r}", error) from error

    def move(self, prefix: str, target: str) -> None:
        """Give everything below a prefix another prefix; at once on a local storage, file by file on S3.

        Nothing happens when there is nothing; what a failure leaves half moved, the opposite move brings back.

        Raises:
            StorageError: The storage refuses or does not answer.
        """
        source, destination = self._path(prefix), self._path(target)
        try:
            if not self._files.exists(source):
                return
            if self.is_local:
                Path(destination).parent.mkdir(parents=True, exist_ok=True)
                Path(source).rename(destination)
            else:
                self._files.mv(source, destination, recursive=True)
        except OSError as error:
            raise self._failure(f"Cannot move {prefix!r} to {target!r}", error) from error

    def check(self) -> None:
        """Write and remove a small file.

        Raises:
            StorageError: That did not work.
        """
        key = f".check-{os.getpid()}"
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(key), b"ok")
            self._files.rm_file(self._path(key))
        except OSError as error:
            raise self._failure("The storage cannot be written", error) from error

    def _failure(self, what: str, error: OSError) -> StorageError:
        """Build the error that members read; where the bytes lie, and what else the system says, is for the log alone."""
        logger.warning("%s (%s): %s", what, self.url, error)
        reason = error.strerror or f"it does not answer ({type(error).__name__})"
        return StorageError(f"{what}: {without_paths(reason)}.")
