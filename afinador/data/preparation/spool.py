"""Rows put aside in a temporary file, so that a step that has to see all of them needs no memory for them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO

from afinador.data.files.plain_values import refused_value
from afinador.data.preparation.rows import Row
from afinador.data.records import Record
from afinador.errors import StorageError

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # what is not escaped is read in less than half of the time


class Spool:
    """A list of rows on the disk; a context manager, after which it is gone.

    Attributes:
        bytes: That it takes there, about.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._count = 0
        self.bytes = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give its place on the disk back."""
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        for line in self._file:
            number, fields, unit, origin, part = json.loads(line)
            yield Row(Record(number, fields, unit, origin), part)

    def add(self, row: Row) -> None:
        """Put one row behind the others.

        Raises:
            DataError: It holds something that JSON cannot.
            StorageError: The disk is full.
        """
        record = row.record
        try:
            line = _ENCODER.encode([record.line, record.fields, record.unit, record.origin, row.part]) + "\n"
        except (TypeError, ValueError) as error:
            raise refused_value(record, error) from error
        self._write(line.encode("utf-8", errors="surrogatepass"))

    def deal_out(self, spools: Sequence[Spool], choose: Callable[[], int]) -> None:
        """Put each row into the one of several spools that ``choose`` names."""
        self._file.seek(0)
        for line in self._file:
            spools[choose()]._write(line)

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise StorageError(f"Rows cannot be put aside in {tempfile.gettempdir()}: {error.strerror}.") from error
        self._count += 1
        self.bytes += len(line)
