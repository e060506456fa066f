"""Every format: each row of docs/formats.md is read here, what is written is read as it was, and no name hides another format."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from afinador.data.files.formats import COMPRESSIONS, FORMATS, FORMATS_BY_EXTENSION
from afinador.data.files.readers import detect_format
from afinador.data.files.writers import write_records
from afinador.data.records import Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.written_formats import CONTENTS, ROWS, TEXT_ROWS, read, rows, zstandard


@pytest.mark.parametrize("extension", FORMATS_BY_EXTENSION)
def test_every_format_of_the_table_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"data{extension}"
    path.write_bytes(CONTENTS[extension])
    assert detect_format(path, path.name.upper()) == FORMATS_BY_EXTENSION[extension]
    assert rows(path) == (TEXT_ROWS if FORMATS_BY_EXTENSION[extension] == "text" else ROWS)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format", [format for format, row in FORMATS.items() if row.is_text])
def test_text_formats_may_be_compressed(tmp_path: Path, format: Any, compression: str) -> None:
    extension = FORMATS[format].extensions[0]
    path = tmp_path / f"data{extension}{compression}"
    path.write_bytes({".gz": gzip.compress, ".zst": zstandard}[compression](CONTENTS[extension]))
    assert rows(path) == (TEXT_ROWS if format == "text" else ROWS)


ODD_ROWS = [
    {"text": ' NA "quoted", ñ', "label": "00123"},
    {"text": "line\nbreak\r\nand\ttab ' | ;", "label": "\u2028 null"},
]
PLAIN_ROWS = [{"text": "one\ntwo"}, {"text": " three "}]
NESTED_ROWS = [
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 1}], "id": 2**62},
    {"messages": [], "meta": {"scores": [0.5, None], "kept": True}},
]


@pytest.mark.parametrize("kept, formats", [
    (ODD_ROWS, ("jsonl", "json", "csv", "parquet", "arrow")),
    (PLAIN_ROWS, ("jsonl", "json", "csv", "text", "parquet", "arrow")),
    (NESTED_ROWS, ("jsonl", "json", "parquet", "arrow")),
], ids=["csv", "text", "nested"])  # fmt: skip
def test_conversion_there_and_back_keeps_every_record(tmp_path: Path, kept: Any, formats: tuple[Any, ...]) -> None:
    for first in formats:
        start = tmp_path / f"start{FORMATS[first].extensions[0]}"
        write_records((Record(n, row) for n, row in enumerate(kept, start=1)), start, first)
        for second in formats:
            there, back = tmp_path / f"there{FORMATS[second].extensions[0]}", tmp_path / f"back{start.suffix}"
            write_records((each for each in read(start) if isinstance(each, Record)), there, second)
            write_records((each for each in read(there) if isinstance(each, Record)), back, first)
            assert rows(back) == rows(start) == kept, (first, second)


@pytest.mark.parametrize(
    "format, first, second, said",
    [
        ("parquet", {"a": 1}, {"a": "x"}, "Line 2: 'a' is text, and a whole number in a record before"),
        ("arrow", {"a": {"b": 1}}, {"a": {"b": None}}, "Line 2: 'a.b' is null"),
        ("parquet", {"a": [{"b": 1}]}, {"a": [{"b": 0.5}]}, "Line 2: 'a.0.b' is a number"),
        ("parquet", {"a": 1}, {"a": 2**63}, "more than 64 bits"),
        ("parquet", {"a": 1}, {"b": {}}, "Line 2: 'b' is an object without fields"),
        ("csv", {"a": "x"}, {"a": "y", "b": "z"}, "in a CSV all are the same"),
        ("csv", {"a": "x"}, {"a": ["y"]}, "Line 2: 'a' is a list of 1 value"),
        ("csv", {"a": "x"}, {"a": 3}, "Line 2: 'a' is 3; a CSV holds nothing but text"),
        ("csv", {"a": "x"}, {"a": True}, "Line 2: 'a' is true; a CSV"),
        ("csv", {"a": "x"}, {"a": None}, "Line 2: 'a' is null"),
        ("csv", {" a": "x"}, {" a": "y"}, "no spaces around"),
        ("csv", {"a\nb": "x"}, {"a\nb": "y"}, "stand on one line"),
        ("csv", {"a": "x"}, {"a": "\x00"}, "NUL"),
        ("text", {"text": "x"}, {"text": "a\n\nb"}, "blank line"),
        ("text", {"text": "x"}, {"text": "a\r\nb"}, "line end of Windows"),
        ("text", {"text": "x"}, {"text": "y", "label": "z"}, "holds 'text' alone"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_name(
    tmp_path: Path, format: Any, first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    path = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        write_records(iter([Record(1, first), Record(2, second)]), path, format)
    assert (
        said in caught.value.message and "rite JSONL" in caught.value.message
    ) or "Remove it" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_tsv_is_written_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "made.tsv"
    write_records(iter([Record(1, {"text": "a, b", "label": "c\td"})]), path, "csv")
    assert path.read_text() == '"text"\t"label"\n"a, b"\t"c\td"\n'
    assert rows(path) == [{"text": "a, b", "label": "c\td"}]


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", '{"text": "a, b"}\n{"text": "c"}\n', "looks like JSON Lines: its first line is a JSON object"),
        ("a.tsv", '{"text": "a"}\n', "Give it the extension .jsonl, or declare format jsonl."),
        ("a.csv", '[\n {"text": "a, b"}]', "looks like JSON: it begins with an array"),
        ("a.jsonl", "text;label\r\n¿Qué?;sí\r\n", "looks like CSV, TSV: its first line names columns"),
        ("a.json", "text,label\nx,y\n", "Give it the extension .csv, or declare format csv."),
        ("a.jsonl", "<!DOCTYPE html>\n<html></html>", "is an HTML page"),
        ("a.csv", "\n<html lang='en'>\n", "is an HTML page"),
        ("a.json", '<?xml version="1.0"?>\n<a/>', "is an XML document"),
    ],
)
def test_what_carries_the_name_of_another_format_is_told_once(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    report = validate_dataset(path, name)
    assert report.counts == {"unreadable_file": 1} and said in report.errors[0].message


@pytest.mark.parametrize(
    "name, content, reading",
    [
        ("a.csv", '{"text": "a"},yes\n', DatasetReading(columns=["text", "label"])),
        ("a.csv", "{text},label\nx,y\n", None),
        ("a.jsonl", 'warning, broken\n{"text": "a"}\n', None),
        ("a.jsonl", "one, two\n", None),
    ],
)
def test_what_only_resembles_another_format_keeps_its_own(
    tmp_path: Path, name: str, content: str, reading: DatasetReading | None
) -> None:
    (tmp_path / name).write_text(content)
    assert detect_format(tmp_path / name, name, reading) == FORMATS_BY_EXTENSION[Path(name).suffix]


def test_table_of_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(CONTENTS[".parquet"])
    with pytest.raises(DataError, match=r"'data.csv' is a Parquet file"):
        detect_format(path, path.name)
    with pytest.raises(DataError, match=r"named as Parquet is, but is an Arrow file"):
        (tmp_path / "a.parquet").write_bytes(CONTENTS[".arrow"])
        detect_format(tmp_path / "a.parquet", "a.parquet")
