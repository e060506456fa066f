"""Every format: each row of docs/formats.md is read here, and the real data sets by numbers counted another way."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files import archives, compressed, documents
from afinador.data.files.formats import COMPRESSIONS, FORMATS, FORMATS_BY_EXTENSION
from afinador.data.files.readers import detect_format, read_records
from afinador.data.files.writers import write_records
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError, InsufficientStorageError, InvalidRequestError
from afinador.schemas.datasets import DatasetReading, parse_reading, read_otherwise

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


# --- what is written is read as it was


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


# --- declared


@pytest.mark.parametrize("encoding, codec", [
    ("latin-1", "latin-1"), ("windows-1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16", "utf-16-le"), ("utf-8", "utf-8")
])  # fmt: skip
@pytest.mark.parametrize("extension", [".jsonl", ".json", ".csv", ".txt"])
def test_declared_encoding_is_obeyed(tmp_path: Path, encoding: Any, codec: str, extension: str) -> None:
    path = tmp_path / f"data{extension}"
    path.write_bytes(CONTENTS[extension].decode().encode(codec))
    wanted = TEXT_ROWS if extension == ".txt" else ROWS
    assert rows(path, DatasetReading(encoding=encoding)) == wanted


def test_encoding_that_a_byte_order_mark_denies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("text,label\na,b\n".encode("utf-8-sig"))
    with pytest.raises(DataError, match=r"declared as latin-1, but .* byte order mark of utf-8"):
        detect_format(path, path.name, DatasetReading(encoding="latin-1"))


def test_declared_format_columns_and_delimiter_win(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("¿Cuánto, es?\t5\nOtra\t1,000\n")
    reading = DatasetReading(format="csv", columns=["prompt", "completion"])
    assert rows(path, reading)[1] == {"prompt": "Otra", "completion": "1,000"}
    path.write_text("a-b;c\n1;2-3;4\n")
    assert rows(path, DatasetReading(format="csv", delimiter="-")) == [{"a": "1;2", "b;c": "3;4"}]


def test_tsv_is_parted_by_tabs_also_where_its_header_holds_commas(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text, in short, of a\tlabel\nx,y\tz\n")
    assert rows(path) == [{"text, in short, of a": "x,y", "label": "z"}]


def test_what_is_declared_holds_for_each_csv_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"ñ {name};yes\n", encoding="latin-1")
    declared = DatasetReading(columns=["text", "label"], delimiter=";", encoding="latin-1")
    assert rows(tmp_path, declared) == [{"text": f"ñ {name}", "label": "yes"} for name in ("a.csv", "b.csv")]


def test_mapping_takes_fields_from_columns_paths_and_templates(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"q": "2+2?", "a.b": 1, "n": {"x": [{"out": "4"}, true]}, "z": "no"}\n{"q": "?"}\n')
    mapping = {"prompt": "{{{q}}} {n.x.1}", "completion": "n.x.0.out", "label": "a.b"}
    first, *problems = read(path, DatasetReading(mapping=mapping))
    assert isinstance(first, Record) and first.fields == {"prompt": "{2+2?} true", "completion": "4", "label": 1}
    assert [(each.code, each.line, each.field) for each in problems if isinstance(each, Problem)] == [
        ("unmapped_column", 2, field) for field in mapping
    ]
    assert "no column 'n.x.1', from which the mapping takes 'prompt'; it has: 'q'." in problems[0].message


def test_mapping_makes_conversations_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("question,answer,tone\n2+2?,4,kind\nwhy?,,\n")
    mapping = {"messages": [{"role": "system", "content": "Be {tone}."}, {"role": "user", "content": "{question}"},
                            {"role": "assistant", "content": "{answer}", "weight": 1}]}  # fmt: skip
    first, _ = read(path, DatasetReading(mapping=mapping))
    assert isinstance(first, Record) and [each["content"] for each in first.fields["messages"]] == [
        "Be kind.",
        "2+2?",
        "4",
    ]
    assert first.fields["messages"][2] == {"role": "assistant", "content": "4", "weight": 1}
    report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
    assert report.shape == "messages" and report.refused == 1
    assert [(each.line, each.field) for each in report.errors] == [
        (3, "messages[0].content"), (3, "messages[2].content"),
    ]  # fmt: skip
    gap = read(path, DatasetReading(mapping={"messages": [{"role": "user", "content": "{asked}"}]}))[0]
    assert isinstance(gap, Problem) and "has a column 'asked', from which the mapping takes 'messages'" in gap.message
    for wrong in ({"a": [[[[[[[[[["x"]]]]]]]]]]}, {"a": ["x"] * 300}, {"a": ["x" * 10_001]}):
        with pytest.raises(InvalidRequestError, match="mapping"):
            parse_reading({"mapping": wrong})


def test_each_line_of_a_text_is_a_record_where_that_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verse.txt"
    path.write_text("one\ntwo\n\n three\n")
    texts = [each.fields["text"] for each in read(path, DatasetReading(text_unit="lines")) if isinstance(each, Record)]
    assert texts == ["one", "two", " three"]
    assert [each.fields for each in read(path, None) if isinstance(each, Record)] == [
        {"text": "one\ntwo"},
        {"text": " three"},
    ]
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT_CHARACTERS", 6)
    assert "The document at line 1 has more than" in problem(path, None).message
    with pytest.raises(InvalidRequestError, match="text_unit is for TEXT"):
        parse_reading({"text_unit": "lines", "format": "csv"})


@pytest.mark.parametrize(
    ("name", "reading", "said"),
    [
        ("a.csv", DatasetReading(text_unit="lines"), "text_unit is for TEXT, and 'a.csv' is read as CSV"),
        ("a.jsonl", DatasetReading(delimiter=";"), "delimiter is for CSV, and 'a.jsonl' is read as JSON Lines"),
        ("a.txt", DatasetReading(columns=["text"]), "columns is for CSV, and 'a.txt' is read as TEXT"),
    ],
)
def test_what_is_declared_and_means_nothing_for_the_format_is_refused(
    tmp_path: Path, name: str, reading: DatasetReading, said: str
) -> None:
    (tmp_path / name).write_text("text,label\na,b\n" if name == "a.csv" else '{"text": "a"}\n')
    (error,) = validate_dataset(tmp_path / name, name, reading).errors
    assert error.code == "unreadable_file" and said in error.message


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"prompt": 5}, "mapping.prompt is 5; it must be a string or an array or an object."),
        ({"str": 5}, "mapping.str is 5; it must be a string or an array or an object."),
        ({"prompt": ""}, "mapping.prompt is ''; it must not be shorter than 1."),
    ],
)
def test_a_wrong_value_of_a_mapping_is_named_by_its_field_alone(mapping: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_reading({"mapping": mapping})
    assert caught.value.message == said and caught.value.param == "mapping"


def test_loader_of_the_operator_is_run_and_its_failure_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_readers.py").write_text(
        "from pathlib import Path\n"
        "def pairs(path):\n"
        "    for line in path.read_text().split():\n"
        "        yield dict(zip(('text', 'label'), line.split('='), strict=True))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "data.weird"
    path.write_text("a=b c=d e")
    *good, bad = read(path, DatasetReading(loader="acme_readers:pairs"))
    assert [each.fields for each in good if isinstance(each, Record)] == [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]  # fmt: skip
    assert isinstance(bad, Problem) and bad.code == "loader_failed" and "after record 2: ValueError" in bad.message
    for loader in ("acme_readers:Path", "acme_readers:missing", "acme_readers:_hidden"):
        assert "defines no function" in problem(path, DatasetReading(loader=loader)).message
    assert "cannot be imported" in problem(path, DatasetReading(loader="acme_nothing:read")).message


# --- tables


def test_label_ids_become_names_and_nulls_are_left_out(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("label", pa.int64()),
            ("extra", pa.list_(pa.struct([("a", pa.int8()), ("b", pa.int8())]))),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.Table.from_pylist(
        [{"text": "x", "label": 1, "extra": [{"a": 1}]}, {"text": None, "label": -1}, {"label": 7}], schema
    )
    parquet.write_table(table, tmp_path / "data.parquet")
    first, second, bad = read(tmp_path / "data.parquet")
    assert isinstance(first, Record) and first.fields == {"text": "x", "label": "pos", "extra": [{"a": 1}]}
    assert isinstance(second, Record) and second.fields == {} and second.place == "Record 2"
    assert (
        isinstance(bad, Problem)
        and "Record 3: 'label' is 7, but the data set has names for the labels 0 to 1" in bad.message
    )


@pytest.mark.parametrize(
    "table, shape, field",
    [
        ({"text": ["a", "b"], "label": pa.nulls(2)}, "text_label", "label"),
        ({"text": ["a", "b"], "label": pa.nulls(2, pa.string())}, "text_label", "label"),
        ({"prompt": ["a", "b"], "completion": pa.nulls(2)}, "prompt_completion", "completion"),
        ({"prompt": ["a", "b"], "chosen": ["c", "d"], "rejected": pa.nulls(2)}, "preference", "rejected"),
        ({"messages": pa.nulls(2)}, "messages", "messages"),
    ],
)
def test_a_column_of_nulls_is_a_fault_and_no_other_shape(tmp_path: Path, table: Any, shape: str, field: str) -> None:
    path, lines = tmp_path / "a.parquet", tmp_path / "a.jsonl"
    parquet.write_table(pa.table(table), path)
    lines.write_text("".join(json.dumps(row) + "\n" for row in pa.table(table).to_pylist()))
    found, same = validate_dataset(path, path.name), validate_dataset(lines, lines.name)
    assert found.shape == same.shape == shape and found.counts == same.counts and not found.is_valid
    assert [(each.code, each.field) for each in found.errors] == [(each.code, each.field) for each in same.errors]
    assert {each.field for each in found.errors} == {field}


def test_optional_columns_may_be_null_and_so_may_fields_of_messages(tmp_path: Path) -> None:
    question, answer = (
        {"role": "user", "content": "q", "name": None},
        {"role": "assistant", "content": "a", "weight": 1},
    )
    for table, shape in (
        ({"instruction": ["i", "j"], "input": ["x", None], "output": ["o", "p"], "id": [1, None]}, "alpaca"),
        ({"messages": [[question, answer]] * 2, "tools": pa.nulls(2), "text": pa.nulls(2)}, "messages"),
        ({"text": ["a", "b"], "label": ["c", "d"], "prompt": pa.nulls(2), "completion": pa.nulls(2)}, "text_label"),
    ):
        parquet.write_table(pa.table(table), tmp_path / "a.parquet")
        report = validate_dataset(tmp_path / "a.parquet", "a.parquet")
        assert (report.shape, report.is_valid) == (shape, True), report.errors


def test_a_null_of_a_table_is_mapped_as_one_of_json(tmp_path: Path) -> None:
    table = pa.table({"q": ["a", "b"], "more": ["c", None], "a": ["d", None]})
    parquet.write_table(table, tmp_path / "a.parquet")
    reading = DatasetReading(mapping={"instruction": "q", "input": "more", "output": "a"})
    assert rows(tmp_path / "a.parquet", reading)[1] == {"instruction": "b", "input": None, "output": None}
    report = validate_dataset(tmp_path / "a.parquet", "a.parquet", reading)
    assert [(each.code, each.line, each.field) for each in report.errors] == [("null_field", 2, "output")]
    assert "'more' is null" in problem(tmp_path / "a.parquet", DatasetReading(mapping={"text": "{q} {more}"})).message


def test_a_column_of_maps_is_read(tmp_path: Path) -> None:
    maps = pa.array([[("a", 1)], None, [("b", 2), ("c", None)]], pa.map_(pa.string(), pa.int64()))
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["x", "y", "z"], "m": maps}), path)
    first, second, third = (each.fields for each in read_records(path, "parquet"))  # type: ignore[union-attr]
    assert (first["m"], second, third["m"]) == ([("a", 1)], {"text": "y"}, [("b", 2), ("c", None)])


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


# --- folders and archives


def test_documents_of_an_archive_say_where_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.zip"
    path.write_bytes(a_zip({"all/a.json": b'{"text": "a"}', "all/b.jsonl": b'{"text": "b"}\n3\n', "all/README.md": b"#",
                            "all/c.json": b"[{]", "__MACOSX/x": b"?", "all/d.json.gz": gzip.compress(b'[{"text": "d"}]')}))  # fmt: skip
    found = read(path)
    assert [(each.place, each.fields) for each in found if isinstance(each, Record)] == [
        ("Record 1 (all/a.json, record 1)", {"text": "a"}),
        ("Record 2 (all/b.jsonl, line 1)", {"text": "b"}),
        ("Record 5 (all/d.json.gz, record 1)", {"text": "d"}),
    ]
    assert [each.message.partition(" is ")[0] for each in found if isinstance(each, Problem)] == [
        "all/b.jsonl: Line 2", "all/c.json: Record 1 of the array, line 1,"
    ]  # fmt: skip


@pytest.mark.parametrize("pack, extension", [(a_zip, ".zip"), (a_tar, ".tar")])
@pytest.mark.parametrize("name", ["../out.json", "/out.json", "a/../../out.json", "C:\\out.json", "..\\out.json"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, pack: Any, extension: str, name: str) -> None:
    path = tmp_path / f"data{extension}"
    path.write_bytes(pack({"a.json": b"{}", name: b"{}"}))
    assert "outside of the archive" in problem(path).message
    assert sorted(each.name for each in tmp_path.parent.rglob("out.json")) == []


def test_nothing_in_a_folder_is_left_out_in_silence(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
        (place / "a.jsonl").write_text('{"text": "a"}\n')
    (folder / "b.jsonl").symlink_to(elsewhere / "a.jsonl")
    assert validate_dataset(folder, "data").records == 2
    for name, make, said in (
        ("more", lambda path: path.symlink_to(elsewhere), "'more', which is a link to no file"),
        ("gone.jsonl", lambda path: path.symlink_to(tmp_path / "nowhere"), "'gone.jsonl', which is a link to no file"),
        ("p.jsonl", os.mkfifo, "'p.jsonl', which is neither a file nor a folder"),
    ):
        make(folder / name)
        assert said in problem(folder).message
        (folder / name).unlink()


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "secret").mkdir(parents=True)
    (tmp_path / "data" / "a.jsonl").write_text('{"text": "a"}\n')
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # permissions do not bind root, as whom tests may run
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "The folder 'secret' cannot be read: Permission denied" in problem(tmp_path / "data").message


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        entry = tarfile.TarInfo("a.json")
        entry.type, entry.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "data.tar", "w") as archive:
            archive.addfile(entry)
        assert "a link" in problem(tmp_path / "data.tar").message
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        link = zipfile.ZipInfo("a.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "a link" in problem(tmp_path / "data.zip").message


def test_an_archive_is_refused_before_what_it_describes_takes_memory_or_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    many = 100_001
    size = (len(entry) * many).to_bytes(4, "little")
    end = b"PK\x05\x06" + bytes(4) + b"\x01\x00\x01\x00" + size + bytes(6)
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04" + entry * many + end)
    assert "more than 100000 files" in problem(tmp_path / "data.zip").message
    name = tarfile.TarInfo("a.json")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "data.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "describes a file with 1099511627776 bytes" in problem(tmp_path / "data.tar").message
    name.type, name.size = tarfile.REGTYPE, 1 << 60
    (tmp_path / "data.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "unpacks to more than 4 GiB" in problem(tmp_path / "data.tar").message
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    for pack, extension in ((a_zip, ".zip"), (a_tar, ".tar")):
        path = tmp_path / f"room{extension}"
        path.write_bytes(pack({"a.json": b'{"text": "a"}'}))
        with pytest.raises(
            InsufficientStorageError, match="unpacks to 13 bytes, and the disk for temporary files has 10"
        ):
            list(read_records(path, "folder"))


@pytest.mark.parametrize("extension", [".jsonl.gz", ".jsonl.zst", ".zip", ".tar.gz"])
def test_what_unpacks_to_too_much_is_refused_with_the_limit(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json_lines([{"text": "a" * 2**20}]) * 3
    packed = {".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard, ".zip": lambda c: a_zip({"a.jsonl": c}),
              ".tar.gz": lambda c: a_tar({"a.jsonl": c}, "w:gz")}[extension](content)  # fmt: skip
    path = tmp_path / f"data{extension}"
    path.write_bytes(packed)
    assert len(rows(path)) == 3
    monkeypatch.setattr(compressed, "BYTES_WITHOUT_RATIO", 2**20)
    assert "more than 200 times its size" in problem(path).message
    monkeypatch.setattr(compressed, "MAX_UNPACKED_BYTES", 2**21)
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 2**21)
    monkeypatch.setattr(compressed, "MAX_RATIO", 10**9)
    assert "the most that is unpacked" in problem(path).message


@pytest.mark.parametrize("extension", [".jsonl.gz", ".jsonl.zst", ".zip", ".tar.gz", ".parquet", ".arrow"])
def test_what_is_cut_off_is_one_problem(tmp_path: Path, extension: str) -> None:
    many = [{"text": sha256(str(n).encode()).hexdigest()} for n in range(2_000)]
    whole = {".jsonl.gz": gzip.compress(json_lines(many)), ".jsonl.zst": zstandard(json_lines(many))} | CONTENTS
    path = tmp_path / f"data{extension}"
    path.write_bytes(whole[extension][: len(whole[extension]) // 2])
    try:
        assert problem(path).code == "unreadable_file"
    except DataError as error:  # told before a record is read
        assert "data" in error.message


def test_split_is_told_by_names_and_no_other_is_taken_unasked(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "train-1.jsonl", "validation.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}) + "\n")
    assert [row["text"] for row in rows(tmp_path)] == ["train-0.jsonl", "train-1.jsonl"]
    assert len(rows(tmp_path, DatasetReading(split="validation"))) == 1
    assert (
        "no 'test' among the splits, which are: train, validation"
        in problem(tmp_path, DatasetReading(split="test")).message
    )
    (tmp_path / "other.json").write_text("{}")
    assert "'other.json', which belongs to no split" in problem(tmp_path).message
    assert "Declare --split all (reading.split) to read all of them" in problem(tmp_path).message
    every = rows(tmp_path, DatasetReading(split="all"))
    assert [row.get("text") for row in every] == [None, "train-0.jsonl", "train-1.jsonl", "validation.jsonl"]
    (tmp_path / "other.json").rename(tmp_path / "scan.pdf")
    assert "'scan.pdf', which is none of the formats" in problem(tmp_path).message


def test_repository_is_read_as_its_card_says(tmp_path: Path) -> None:
    card = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "en/**"}, {"split": "test", "path": ["t?.csv"]}],
            },
            {"config_name": "es", "data_files": "es/*.jsonl"},
        ],
        "dataset_info": {"features": [{"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}}]},
    }
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n# Text")
    for folder, value in (("en", 1), ("en/more", 0), ("es", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        parquet.write_table(pa.table({"label": [value]}), tmp_path / folder / "0.parquet")
    (tmp_path / "es" / "a.jsonl").write_text('{"text": "hola"}\n')
    (tmp_path / "t1.csv").write_text("text\nheld out\n")
    assert rows(tmp_path) == [{"label": "yes"}, {"label": "no"}]
    assert rows(tmp_path, DatasetReading(config="es")) == [{"text": "hola"}]
    assert rows(tmp_path, DatasetReading(split="test")) == [{"text": "held out"}]
    assert rows(tmp_path, DatasetReading(split="all")) == [{"label": "yes"}, {"label": "no"}, {"text": "held out"}]
    card["configs"][0]["data_files"].append({"split": "all", "path": ["t1.csv"]})
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n# Text")
    assert rows(tmp_path, DatasetReading(split="all")) == [{"text": "held out"}]
    assert "config is 'fr'; the data set has: default, es" in problem(tmp_path, DatasetReading(config="fr")).message


# --- real data sets


def lines_of(path: Path) -> int:
    return sum(1 for line in path.read_bytes().split(b"\n") if line.strip())


def documents_of(path: Path) -> int:
    return sum(1 for part in re.split(r"\n\s*\n", path.read_text("utf-8-sig")) if part.strip())


def lines_of_train(path: Path) -> int:
    return lines_of(path / "train.jsonl")


def items_of(path: Path) -> int:
    document = json.loads(path.read_text())
    return len(document if isinstance(document, list) else document["data"])


REAL: dict[str, tuple[DatasetReading | None, Callable[[Path], int] | int, str]] = {
    # file: what is declared, how many records it has, format
    "banking77/train.csv": (DatasetReading(mapping={"text": "text", "label": "category"}), 10003, "csv"),
    "gsm8k/train.jsonl": (DatasetReading(mapping={"prompt": "question", "completion": "answer"}), lines_of, "jsonl"),
    "mgsm-es/mgsm_es.tsv": (DatasetReading(columns=["prompt", "completion"]), lines_of, "csv"),
    "squad-es/squad-es-prompt-completion.jsonl": (None, lines_of, "jsonl"),
    "squad-es/squad-es-v1.1-part.json": (None, items_of, "json"),
    "self-instruct/seed_tasks.jsonl": (
        DatasetReading(mapping={"prompt": "{instruction}\n{instances.0.input}", "completion": "instances.0.output"}),
        lines_of,
        "jsonl",
    ),
    "openai-chat/toy_chat_10.jsonl": (None, lines_of, "jsonl"),
    "openai-chat/seed_tasks_prompt_completion.csv": (None, 175, "csv"),
    "tool-calling/glaive_toolcall_en_demo.json": (None, items_of, "json"),
    "tool-calling/glaive_openai_tools.jsonl": (None, lines_of, "jsonl"),
    "metadata-headers/train.jsonl": (DatasetReading(mapping={"document": "text", "metadata": "metadata"}), lines_of, "jsonl"),
    "wikisql/wikisql_dev_4000.jsonl": (None, lines_of, "jsonl"),
    "transliteration-ar-en/ar2en-train.txt": (
        DatasetReading(format="csv", delimiter="tab", columns=["source", "target"]), lines_of, "csv",
    ),
    "lm-text/wiki_demo.txt": (None, documents_of, "text"),
    "lm-text/c4_demo.jsonl": (None, lines_of, "jsonl"),
    "books/en_alice.txt": (None, documents_of, "text"),
    "books/es_faust_1.txt": (None, documents_of, "text"),
    "hf-forms/saved-to-disk": (None, 1251, "folder"),
    "hf-forms/parquet-repo": (DatasetReading(split="test"), 385, "folder"),
    "hf-forms/jsonl-repo": (None, lines_of_train, "folder"),
    "hf-forms/chat-messages.parquet": (None, 150, "parquet"),
}  # fmt: skip


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL)
def test_real_data_set_is_read_whole(shared_data: Path, name: str) -> None:
    reading, counted, format = REAL[name]
    path = shared_data / name
    assert detect_format(path, path.name, reading) == format
    found = rows(path, reading)
    assert len(found) == (counted if isinstance(counted, int) else counted(path))
    if reading is not None and reading.mapping:
        assert all(row.keys() == reading.mapping.keys() for row in found)


@pytest.mark.shared_data
def test_forms_of_one_data_set_hold_the_same_records(shared_data: Path) -> None:
    folder = shared_data / "hf-forms"
    saved = rows(folder / "saved-to-disk")
    assert saved == rows(folder / "parquet-repo")
    assert saved[0].keys() == {"text", "label"} and isinstance(saved[0]["label"], str)
    assert rows(folder / "jsonl-repo") == rows(folder / "chat-messages.parquet")


@pytest.mark.parametrize(
    ("reading", "declared", "expected"),
    [
        ({"encoding": "latin-1"}, None, {"encoding": "latin-1"}),
        ({"encoding": "latin-1"}, {}, {"encoding": "latin-1"}),
        ({"mapping": {"text": "a"}, "split": "train"}, {"split": "test"}, {"mapping": {"text": "a"}, "split": "test"}),
        ({"mapping": {"text": "a"}, "delimiter": ";"}, {"mapping": None, "delimiter": ""}, None),
        ({"delimiter": ";", "shape": "text"}, {"format": "jsonl"}, {"format": "jsonl", "shape": "text"}),
        ({"loader": "a:b", "shape": "text"}, {"split": "test"}, {"split": "test", "shape": "text"}),
        ({"encoding": "latin-1", "shape": "text"}, {"loader": "a:b"}, {"loader": "a:b", "shape": "text"}),
        (None, {"columns": "a, b"}, {"columns": ["a", "b"]}),
    ],
)
def test_what_is_declared_of_one_data_set_alone_comes_before_what_holds_for_both(
    reading: dict[str, Any] | None, declared: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    assert read_otherwise(parse_reading(reading or {}), declared) == parse_reading(expected or {})


@pytest.mark.parametrize(
    ("declared", "param", "said"),
    [
        ({"splt": "test"}, "validation_reading.splt", "Did you mean 'split'"),
        ({"delimiter": ";;"}, "validation_reading.delimiter", "one character"),
        (["split"], "validation_reading", "no object"),
        ({"format": "jsonl", "delimiter": ";"}, "validation_reading", "delimiter is for CSV"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_by_its_name(declared: Any, param: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as refused:
        read_otherwise(DatasetReading(shape="text"), declared)
    assert refused.value.param == param
