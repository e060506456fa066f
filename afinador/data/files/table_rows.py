"""The process that opens Parquet and Arrow files and gives their rows as plain values; see ``table_process``.

What such a file declares of itself may be forged: a dictionary page of a few bytes that unpacks to gigabytes, views that
all show the same large buffer, lists of nulls without end, offsets that lead nowhere and end the process. Nothing of it
can be asked before memory is taken, so that the memory of this process is limited, and its death is a fault of the file.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import compute, parquet

from afinador.data.files.compressed import MAX_UNPACKED_BYTES, Allowance
from afinador.data.files.delimited import MOST_COLUMNS
from afinador.data.quoting import shortened
from afinador.errors import DataError

MEMORY_BYTES = 1 << 30
LONGEST_RECORD_BYTES = 64 * 2**20
ROWS_AT_ONCE = 1000
VALUES_AT_ONCE = 100_000
PIECE_BYTES = 8 * 2**20
_BUFFER_BYTES = 1 << 16
_TEXTS = (
    pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_binary, pyarrow.types.is_large_binary,
)  # fmt: skip
_LISTS = (
    pyarrow.ListArray, pyarrow.LargeListArray, pyarrow.FixedSizeListArray, pyarrow.ListViewArray, pyarrow.LargeListViewArray,
)  # fmt: skip


def answers(what: str, path: Path) -> Iterator[bytes]:
    """Yield what the other side reads: the columns and what ``datasets`` tells of them, lists of rows, at last None; or a fault.

    A fault is its message, and whether this process is spent.

    Args:
        what: ``Parquet`` or ``Arrow``.
        path: Where it lies.
    """
    try:
        with _opened(what, path) as (schema, batches):
            _require_columns(schema)
            yield pickle.dumps({"columns": schema.names, "features": _features_of(schema)})
            number, allowance = 1, Allowance(path.stat().st_size)
            for batch in batches:
                at_least = max(batch.nbytes, batch.num_rows)
                allowance.take(at_least)
                batch.validate()
                size = sum(map(_written_out, batch.columns))
                allowance.take(max(0, size - at_least))
                batch.validate(full=True)  # looks at every byte that is shown, as often as it is
                yield from _pieces(batch, number, size)
                number += batch.num_rows
            yield pickle.dumps(None)
    except DataError as error:
        yield pickle.dumps((error.message, False))
    except MemoryError:
        most = f"{MEMORY_BYTES >> 30} GiB"
        said = (
            f"The file could not be read as {what}: it takes more than {most} of memory, the most that is given to it. "
        )
        yield pickle.dumps((said + "Write smaller row groups or batches.", True))
    except Exception as error:  # whatever a forged file makes of pyarrow
        said = shortened(str(error).partition("\n")[0], 150)
        yield pickle.dumps((f"The file is no whole {what} file: {said}. Write it again.", False))


@contextlib.contextmanager
def _opened(what: str, path: Path) -> Iterator[tuple[pyarrow.Schema, Iterable[pyarrow.RecordBatch]]]:
    if what == "Parquet":
        with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES) as file:
            groups = range(file.metadata.num_row_groups)
            if any(file.metadata.row_group(each).total_byte_size > MAX_UNPACKED_BYTES for each in groups):
                raise DataError(
                    f"A row group unpacks to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB, the most that is unpacked. "
                    "Write smaller row groups."
                )
            yield file.schema_arrow, file.iter_batches(ROWS_AT_ONCE, use_threads=False)
        return
    with pyarrow.memory_map(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if is_file:
            file = pyarrow.ipc.open_file(source)
            yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            stream = pyarrow.ipc.open_stream(source)
            yield stream.schema, stream


def _require_columns(schema: pyarrow.Schema) -> None:
    counted = Counter(schema.names)
    if len(counted) > MOST_COLUMNS:
        raise DataError(f"It has {len(counted)} columns; at most {MOST_COLUMNS} are read. Remove some.")
    twice = next((name for name, count in counted.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"Two columns are named {shortened(twice)}. Rename or remove one of them.")


def _features_of(schema: pyarrow.Schema) -> Any:
    """Return what ``datasets`` has written of the columns, if it has."""
    try:
        return json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}


def _written_out(array: pyarrow.Array) -> int:
    """Return about how many bytes the values of an array take once each stands for itself.

    Nulls in lists take no byte of the file; values of a dictionary, and what views show, are there once for many rows.
    """
    if pyarrow.types.is_struct(array.type):
        return sum(map(_written_out, array.flatten()))
    if pyarrow.types.is_map(array.type):  # lists of pairs, which cannot be flattened as such
        pair = pyarrow.struct([array.type.key_field, array.type.item_field])
        return _written_out(array.cast(pyarrow.list_(pair)))
    if isinstance(array, _LISTS):
        inner = array.flatten()
        return len(inner) + _written_out(inner)
    if pyarrow.types.is_dictionary(array.type):
        sizes = _lengths(array.dictionary)
        return 0 if sizes is None else _sum(sizes.take(array.indices))
    sizes = _lengths(array)
    return int(array.nbytes) if sizes is None else _sum(sizes)


def _lengths(array: pyarrow.Array) -> pyarrow.Array | None:
    type = array.type
    if type in (pyarrow.string_view(), pyarrow.binary_view()):
        # A view is 16 bytes, of which the first four are its length.
        views = memoryview(array.buffers()[1]).cast("B").cast("i")
        return pyarrow.array(views[4 * array.offset : 4 * (array.offset + len(array)) : 4].tolist(), pyarrow.int64())
    if any(is_kind(type) for is_kind in _TEXTS):
        return compute.binary_length(array).cast(pyarrow.int64())
    return None


def _sum(sizes: pyarrow.Array) -> int:
    return int(compute.sum(sizes).as_py() or 0)


def _pieces(batch: pyarrow.RecordBatch, first: int, size: int) -> Iterator[bytes]:
    by_size = PIECE_BYTES * batch.num_rows // max(size, 1)
    rows = max(1, min(ROWS_AT_ONCE, VALUES_AT_ONCE // max(batch.num_columns, 1), by_size))
    for start in range(0, batch.num_rows, rows):
        yield from _packed(batch.slice(start, rows), first + start)


def _packed(batch: pyarrow.RecordBatch, first: int) -> Iterator[bytes]:
    """Yield rows in pieces that are not too large, however much larger they are than they seemed."""
    piece = None
    try:
        piece = pickle.dumps([_without_null_fields(row) for row in batch.to_pylist()], protocol=5)
    except MemoryError:
        if batch.num_rows == 1:
            raise
    if piece is not None and len(piece) <= (PIECE_BYTES if batch.num_rows > 1 else LONGEST_RECORD_BYTES):
        yield piece
    elif batch.num_rows == 1:
        longest = LONGEST_RECORD_BYTES >> 20
        raise DataError(f"Record {first} is larger than {longest} MiB, the most that is read. Split it into several.")
    else:
        half = batch.num_rows // 2
        yield from _packed(batch.slice(0, half), first)
        yield from _packed(batch.slice(half), first + half)


def _without_null_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _without_nulls(value) for name, value in row.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    """Return a value without the fields of its objects that are null."""
    if isinstance(value, dict):
        return _without_null_fields(value)
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def main(descriptor: int) -> None:
    """Answer each path with its rows, a piece for each time that None follows, until the connection is closed."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(descriptor) as connection, contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        found: Iterator[bytes] = iter(())
        while True:
            asked = connection.recv()
            if asked is not None:
                found = answers(asked[0], Path(asked[1]))
            connection.send_bytes(next(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
