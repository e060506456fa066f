"""Opens files, gzip and zstandard unpacked or packed on the way, and never more than is allowed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from afinador.data.files.formats import compression_of
from afinador.errors import DataError

GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"

MAX_UNPACKED_BYTES = 4 * 2**30
"""The most that a compressed file or an archive may hold."""

MAX_RATIO = 200
"""The most bytes that one compressed byte may become; text becomes three to twenty."""

BYTES_WITHOUT_RATIO = 16 * 2**20
"""Below this the ratio does not matter: small files of one word over and over are no bombs."""

_BUFFER_BYTES = 1 << 18
_GZIP_LEVEL = 6


def is_compressed(path: Path) -> bool:
    """Tell by its first bytes whether a file is compressed with gzip or zstandard."""
    with path.open("rb") as file:
        start = file.read(4)
    return start.startswith(GZIP) or start == ZSTANDARD


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file; what is compressed reads as what it holds.

    Reading it raises ``DataError`` where the compressed data are damaged, cut off, or become more than is allowed.

    Raises:
        DataError: It is compressed with zstandard, and ``pyarrow`` is missing.
    """
    file = path.open("rb")
    try:
        start = file.read(4)
        file.seek(0)
        if start.startswith(GZIP):
            inner: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
        elif start == ZSTANDARD:
            inner = _zstandard(file)
        else:
            return file
        unpacked = _Unpacked(inner, file, Allowance(path.stat().st_size))
        return cast(BinaryIO, io.BufferedReader(unpacked, _BUFFER_BYTES))
    except BaseException:
        file.close()
        raise


@contextmanager
def open_to_write(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a file to be written, packed if the name that it will have says so.

    The same content gives the same bytes: neither name nor time is written into it.

    Raises:
        DataError: ``open_unpacked`` would not read it again, or it is to be packed with zstandard, and ``pyarrow`` is missing.
    """
    compression = compression_of(name)
    with path.open("wb") as file:
        if compression is None:
            yield file
            return
        packer = _Packer(file, name, compression)
        with io.BufferedWriter(packer, _BUFFER_BYTES) as stream:
            yield cast(BinaryIO, stream)
    packer.require_ratio(path.stat().st_size)


class Allowance:
    """Counts what comes out of compressed bytes.

    Args:
        packed_bytes: Size of what is unpacked.
    """

    def __init__(self, packed_bytes: int) -> None:
        self._packed_bytes = max(packed_bytes, 1)
        self._unpacked_bytes = 0

    def take(self, size: int) -> None:
        """Count further bytes.

        Raises:
            DataError: They are too many altogether, or too many for what they came from.
        """
        self._unpacked_bytes += size
        if self._unpacked_bytes > MAX_UNPACKED_BYTES:
            raise DataError(
                f"The file unpacks to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB, the most that is unpacked. Split it."
            )
        if self._unpacked_bytes > max(BYTES_WITHOUT_RATIO, MAX_RATIO * self._packed_bytes):
            raise DataError(
                f"The file unpacks to more than {MAX_RATIO} times its size ({self._packed_bytes} bytes), the most that is "
                "unpacked: so far only damaged or hostile files do. Send it uncompressed if it is right."
            )


class _Unpacked(io.RawIOBase):
    """What a decompressor gives, counted, its faults in our words."""

    def __init__(self, inner: BinaryIO, file: BinaryIO, allowance: Allowance) -> None:
        self._inner, self._file, self._allowance = inner, file, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        try:
            data = self._inner.read(len(view))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise DataError(
                "The compressed data of the file are damaged or cut off. Compress it again, or send it uncompressed."
            ) from error
        self._allowance.take(len(data))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._file.close()
        super().close()


class _Packer(io.RawIOBase):
    """Packs what is written, and counts it."""

    def __init__(self, file: BinaryIO, name: str, compression: str) -> None:
        self._inner = _packing(file, compression)
        self._name, self._compression = name, compression
        self._unpacked_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._unpacked_bytes += size
        if self._unpacked_bytes > MAX_UNPACKED_BYTES:
            raise self._refused(f"{MAX_UNPACKED_BYTES / 2**30:.0f} GiB")
        self._inner.write(data)
        return size

    def require_ratio(self, packed_bytes: int) -> None:
        """Do nothing if so few bytes may be all that was written."""
        if self._unpacked_bytes > max(BYTES_WITHOUT_RATIO, MAX_RATIO * packed_bytes):
            raise self._refused(f"{MAX_RATIO} times its size")

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                self._inner.close()

    def _refused(self, what: str) -> DataError:
        return DataError(
            f"{self._name} would unpack to more than {what}, the most that is read again. Write it without {self._compression}."
        )


def _packing(file: BinaryIO, compression: str) -> BinaryIO:
    if compression == ".gz":
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_GZIP_LEVEL, mtime=0)
        return cast(BinaryIO, packed)
    pyarrow = _pyarrow()
    return cast(BinaryIO, pyarrow.CompressedOutputStream(pyarrow.PythonFile(file, mode="w"), "zstd"))


def _zstandard(file: BinaryIO) -> BinaryIO:
    pyarrow = _pyarrow()
    return cast(BinaryIO, pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd"))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError("Zstandard needs the package 'pyarrow' (pip install afinador[train]).") from error
    return pyarrow
