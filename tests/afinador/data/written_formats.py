"""The same rows written in every format and packed in every way, and what is read of a file."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from afinador.data.files.readers import detect_format, read_records
from afinador.data.records import Problem, Record
from afinador.schemas.datasets import DatasetReading

ROWS = [{"text": f"text {n}, ñ", "label": "odd" if n % 2 else "even"} for n in range(1, 6)]
TEXT_ROWS = [{"text": row["text"]} for row in ROWS]


def read(path: Path, reading: DatasetReading | None = None, name: str | None = None) -> list[Record | Problem]:
    return list(read_records(path, detect_format(path, name or path.name, reading), reading))


def rows(path: Path, reading: DatasetReading | None = None, name: str | None = None) -> list[dict[str, Any]]:
    found = read(path, reading, name)
    assert not [each for each in found if isinstance(each, Problem)], found
    return [each.fields for each in found if isinstance(each, Record)]


def problem(path: Path, reading: DatasetReading | None = None) -> Problem:
    [found] = [each for each in read(path, reading) if isinstance(each, Problem)]
    return found


def json_lines(of: list[dict[str, Any]] = ROWS) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in of).encode()


def a_csv(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "label"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def a_table(write: Callable[[pa.Table, Any], None]) -> bytes:
    sink = io.BytesIO()
    write(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def an_arrow_file(table: pa.Table, sink: Any) -> None:
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def a_zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def a_tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


DOCUMENTS = {f"notes/{n}.json": json.dumps(row).encode() for n, row in enumerate(ROWS)}
CONTENTS: dict[str, bytes] = {
    ".jsonl": json_lines(), ".ndjson": json_lines(), ".json": json.dumps({"data": ROWS}).encode(),
    ".csv": a_csv(","), ".tsv": a_csv("\t"), ".tab": a_csv("\t"),
    ".parquet": a_table(parquet.write_table), ".arrow": a_table(an_arrow_file), ".feather": a_table(an_arrow_file),
    ".zip": a_zip(DOCUMENTS), ".tar": a_tar(DOCUMENTS), ".tar.gz": a_tar(DOCUMENTS, "w:gz"),
    ".tgz": a_tar(DOCUMENTS, "w:gz"), ".tar.zst": zstandard(a_tar(DOCUMENTS)),
} | {extension: b"\n\n".join(row["text"].encode() for row in ROWS) for extension in (".txt", ".text", ".md")}  # fmt: skip
