"""Tables that are small on disk and endless in memory, or end whoever reads them: a fault of the file, every time."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files import table_process
from afinador.data.files.tables import read_arrow, read_parquet
from afinador.data.validation import validate_dataset
from afinador.errors import DataError

ROWS = 2000


def one_value(size: int) -> pa.Table:
    """All rows show the same value, which stands in the file once."""
    indices = pa.array([0] * ROWS, pa.int32())
    return pa.table({"text": pa.DictionaryArray.from_arrays(indices, pa.array(["x" * size]))})


def nulls_without_end(_: int) -> pa.Table:
    offsets = pa.array([0, 2**27], pa.int32())
    return pa.table({"text": ["a"], "many": pa.ListArray.from_arrays(offsets, pa.nulls(2**27))})


def views_of_one_buffer(size: int) -> pa.Table:
    view = size.to_bytes(4, "little") + b"xxxx" + bytes(8)
    buffers = [None, pa.py_buffer(view * ROWS), pa.py_buffer(b"x" * size)]
    return pa.table({"text": pa.Array.from_buffers(pa.string_view(), ROWS, buffers)})


def as_parquet(table: pa.Table, path: Path) -> None:
    parquet.write_table(table, path, compression="zstd", use_dictionary=True, store_schema=False)


def as_arrow(table: pa.Table, path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(str(path), table.schema, options=options) as file:
        file.write_table(table)


@pytest.mark.parametrize(
    "make, write, extension, said",
    [
        (one_value, as_parquet, "parquet", "more than 1 GiB of memory"),
        (one_value, as_arrow, "arrow", "more than 4 GiB"),
        (nulls_without_end, as_arrow, "arrow", "200 times its size"),
        (views_of_one_buffer, as_arrow, "arrow", "more than 4 GiB"),
    ],
)
def test_a_bomb_takes_neither_memory_nor_the_process(
    tmp_path: Path, make: Callable[[int], Any], write: Callable[[Any, Path], None], extension: str, said: str
) -> None:
    path = tmp_path / f"bomb.{extension}"
    write(make(8 << 20), path)
    assert path.stat().st_size < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = validate_dataset(path, path.name)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 400 << 20
    (error,) = report.errors
    assert error.code == "unreadable_file" and said in error.message, error


@pytest.mark.parametrize("extension", ["parquet", "arrow"])
def test_the_death_of_the_reading_process_is_a_fault_and_the_next_file_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"good.{extension}"
    table = pa.table({"text": [f"row {number}" for number in range(5000)]})
    (as_parquet if extension == "parquet" else as_arrow)(table, path)
    read = read_parquet if extension == "parquet" else read_arrow
    assert [record.fields["text"] for record in read(path)] == table["text"].to_pylist()
    rows = read(path)
    next(rows)
    for process in children_that_read_tables():
        os.kill(process, signal.SIGKILL)
    with pytest.raises(DataError, match=rf"could not be read as {extension.title()}"):
        list(rows)
    assert sum(1 for _ in read(path)) == 5000


def children_that_read_tables() -> list[int]:
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for children in found for pid in children.read_text().split()]
    return [pid for pid in pids if b"afinador.data.files.table_rows" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_reader_that_stops_early_leaves_the_process_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    as_parquet(pa.table({"text": ["a"] * 5000}), path)
    for _ in range(3):
        assert next(read_parquet(path)).fields == {"text": "a"}
    assert len(children_that_read_tables()) == 1
    table_process._idle.end()
    assert children_that_read_tables() == []
