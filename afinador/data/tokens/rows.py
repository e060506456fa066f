"""Tokenised examples as Arrow record batches, in memory or mapped from a file: never all at once as Python's lists.

A file is written batch by batch, as the examples come, and its last batch says what there is to know of the whole: one
that was cut off is seen by that, and one that was changed by the digest of each batch.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from afinador.data.tokens.tokenisation import TokenisedExample

if TYPE_CHECKING:
    import pyarrow

ROWS_IN_BATCH = 1024
TOKENS_IN_BATCH = 2**18
_DIGEST, _SUMMARY = b"blake2b", b"summary"


class TokenRows(Sequence[TokenisedExample]):
    """Examples that become lists of numbers one at a time, when they are asked for.

    Args:
        batches: As ``batches_of`` makes them.
    """

    def __init__(self, batches: Iterable[pyarrow.RecordBatch]) -> None:
        self._batches = list(batches)
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))
        self._lists = [[_parts(batch[name]) for name in ("input_ids", "labels")] for batch in self._batches]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> TokenisedExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenisedExample]: ...
    def __getitem__(self, index: int | slice) -> TokenisedExample | list[TokenisedExample]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        number = bisect_right(self._ends, at)
        batch, place = self._batches[number], at - (self._ends[number - 1] if number else 0)
        input_ids, labels = (
            values[offsets[place] : offsets[place + 1]].tolist() for offsets, values in self._lists[number]
        )
        others = [batch[name][place].as_py() for name in ("cut_before", "cut_after", "continues")]
        return TokenisedExample(input_ids, labels, *others)

    def lengths(self) -> list[int]:
        """Return the number of tokens of each."""
        return [length for batch in self._batches for length in batch["input_ids"].value_lengths().to_pylist()]

    def largest_id(self) -> int:
        """Return the largest token id; -1 without any token."""
        parts = (values[offsets[0] : offsets[-1]] for (offsets, values), _ in self._lists)
        return max((int(values.max()) for values in parts if len(values)), default=-1)

    def cuts(self) -> Iterator[tuple[int, int]]:
        """Yield ``cut_before`` and ``cut_after`` of each."""
        for batch in self._batches:
            yield from zip(batch["cut_before"].to_pylist(), batch["cut_after"].to_pylist(), strict=True)


def _parts(lists: pyarrow.ListArray) -> tuple[Any, Any]:
    return lists.offsets.to_numpy(), lists.values.to_numpy()


def batches_of(examples: Iterable[TokenisedExample]) -> Iterator[pyarrow.RecordBatch]:
    """Yield examples in batches, as they come."""
    batch: list[TokenisedExample] = []
    tokens = 0
    for example in examples:
        batch.append(example)
        tokens += len(example.input_ids)
        if len(batch) >= ROWS_IN_BATCH or tokens >= TOKENS_IN_BATCH:
            yield _batch(batch)
            batch, tokens = [], 0
    if batch:
        yield _batch(batch)


def _batch(examples: Sequence[TokenisedExample]) -> pyarrow.RecordBatch:
    import pyarrow  # heavy, and only runs need it

    columns = [pyarrow.array([getattr(example, field.name) for example in examples], field.type) for field in _schema()]
    return pyarrow.record_batch(columns, schema=_schema())


def _schema() -> pyarrow.Schema:
    import pyarrow

    lists, number = pyarrow.list_(pyarrow.int32()), pyarrow.int32()
    return pyarrow.schema(
        {
            "input_ids": lists,
            "labels": lists,
            "cut_before": number,
            "cut_after": number,
            "continues": pyarrow.bool_(),
        }
    )


def write_rows(path: Path, batches: Iterable[pyarrow.RecordBatch], summarise: Callable[[], Mapping[str, Any]]) -> None:
    """Write batches as they come.

    Args:
        path: Of the new file.
        batches: At least one.
        summarise: Tells of the whole as plain JSON values; asked after the last batch.
    """
    import pyarrow

    with path.open("wb") as stream:
        with pyarrow.ipc.new_file(stream, _schema()) as writer:
            before = None
            for batch in batches:
                if before is not None:
                    writer.write_batch(before, {_DIGEST: _digest_of(before)})
                before = batch
            told = json.dumps(dict(summarise())).encode()
            writer.write_batch(before, {_DIGEST: _digest_of(before, told), _SUMMARY: told})
        stream.flush()
        os.fsync(stream.fileno())


def map_rows(path: Path) -> tuple[TokenRows, dict[str, Any]]:
    """Return the examples of a file, mapped into memory, and its summary; the file may be removed afterwards.

    Raises:
        OSError: It is not there.
        ValueError: It is damaged.
    """
    import pyarrow

    batches, told = [], b""
    try:
        reader = pyarrow.ipc.open_file(pyarrow.memory_map(str(path)))
        for number in range(reader.num_record_batches):
            batch, metadata = reader.get_batch_with_custom_metadata(number)
            told = dict(metadata).get(_SUMMARY, b"")
            if batch.schema != _schema() or dict(metadata)[_DIGEST] != _digest_of(batch, told):
                raise ValueError("its digest is another one")
            batches.append(batch)
        summary: dict[str, Any] = json.loads(told)
        return TokenRows(batches), summary
    except (pyarrow.ArrowException, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _digest_of(batch: pyarrow.RecordBatch, summary: bytes = b"") -> bytes:
    digest = hashlib.blake2b(summary, digest_size=16)
    for column in batch.columns:
        if str(column.type).startswith("list"):
            digest.update(column.value_lengths().to_numpy().tobytes())
            column = column.flatten()
        digest.update((column.cast("int8") if column.type == "bool" else column).to_numpy())
    return digest.hexdigest().encode()
