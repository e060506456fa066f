"""What a preparation writes is read again, and what a file cannot hold is not written."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from afinador.data.files import writers
from afinador.data.files.readers import read_records
from afinador.data.files.saved_datasets import read_saved_dataset
from afinador.data.files.writers import EXTENSIONS, write_records
from afinador.data.preparation import Pipeline, format_of_name, prepare_file, run_to_file
from afinador.data.records import Record
from afinador.errors import AfinadorError, DataError, InvalidRequestError
from tests.afinador.data.prepared import NUMBERED, run


def test_a_label_that_is_null_in_a_table_stays_a_fault_and_can_be_filtered_out(tmp_path: Path) -> None:
    rows = {"text": ["a", "b"], "label": ["x", None], "id": [1, None]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "a.parquet")
    for steps, expected in (
        ([], [{"text": "a", "label": "x", "id": 1}, {"text": "b", "label": None}]),
        ([{"type": "filter", "condition": "label != null"}], [{"text": "a", "label": "x", "id": 1}]),
    ):
        prepare_file(tmp_path / "a.parquet", steps, target=tmp_path / "b.jsonl", overwrite=True)
        assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == expected


def test_all_extensions_that_are_written_are_named() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"give one of: \.jsonl, \.ndjson, \.json, \.csv, \.tsv, \.tab, \.txt"
    ):
        format_of_name("made.xlsx")


@pytest.mark.parametrize("there", ["made-train.jsonl", "made-validation.jsonl", "made.jsonl.lineage.json"])
def test_nothing_is_written_over_unless_it_is_said(there: str, tmp_path: Path) -> None:
    source, steps = tmp_path / "rows.jsonl", [{"type": "split", "validation": 0.25}]
    source.write_text("".join(json.dumps(row) + "\n" for row in NUMBERED[:8]))
    (tmp_path / there).write_text("mine")
    (tmp_path / "made-test.jsonl").write_text("of another part, which this split does not make")
    with pytest.raises(InvalidRequestError, match=rf"{re.escape(there)} exists already.*--overwrite.*overwrite=True"):
        prepare_file(source, steps, target=tmp_path / "made.jsonl")
    assert (tmp_path / there).read_text() == "mine" and len(list(tmp_path.iterdir())) == 3
    for _ in range(2):
        prepare_file(source, steps, target=tmp_path / "made.jsonl", overwrite=True)
    assert (tmp_path / there).read_text() != "mine"
    with pytest.raises(InvalidRequestError, match=r"made-train\.jsonl and .*made\.jsonl\.lineage\.json exist already"):
        prepare_file(source, steps, target=tmp_path / "made.jsonl")
    source.rename(tmp_path / "made.jsonl.lineage.json")
    with pytest.raises(InvalidRequestError, match=r"made\.jsonl\.lineage\.json is the data set itself"):
        prepare_file(tmp_path / "made.jsonl.lineage.json", steps, target=tmp_path / "made.jsonl", overwrite=True)


AWKWARD = [
    {"text": 'He said "no"; she, "yes"\nand\r\nleft', "label": "sep=,"},
    {"text": "a\rb", "label": " 007 "},
    {"text": "ü€🙂", "label": ""},
]


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_what_is_written_is_read_again(format: Any, tmp_path: Path) -> None:
    path = tmp_path / f"rows{EXTENSIONS[format]}"
    assert write_records(iter([Record(n, row) for n, row in enumerate(AWKWARD)]), path, format) == 3
    assert [record.fields for record in read_records(path, format) if isinstance(record, Record)] == AWKWARD
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text('a,;"\n\r é', max_size=8), min_size=1, max_size=4), st.sampled_from(",\t"))
def test_a_row_of_a_csv_is_written_as_the_csv_module_does(values: list[str], delimiter: str) -> None:
    csv.writer(expected := io.StringIO(newline=""), delimiter=delimiter, quoting=csv.QUOTE_ALL).writerow(values)
    assert writers._row(values, delimiter) == expected.getvalue()


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_everyday_values_of_tables_are_written(format: Any, tmp_path: Path) -> None:
    row = {
        "text": "a", "when": datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "day": date(2024, 1, 2), "at": time(3, 4),
        "price": Decimal("1.50"), "vector": [0.5, 2.0], "in": {"days": [date(2024, 1, 2)]}, "raw": b"\xff", "long": timedelta(1),
    }  # fmt: skip
    steps = [
        {"type": "filter", "condition": "when > '2024-01-01'"},
        {"type": "remove", "fields": ["raw", "long"]},
        {"type": "shuffle"},
    ]
    made = tmp_path / f"made{EXTENSIONS[format]}"
    run_to_file([Record(1, row)], "rows", Pipeline(steps), made, format)
    found = parquet.read_table(made).to_pylist() if format == "parquet" else [json.loads(made.read_text())]
    assert found == [
        {
            "text": "a", "when": "2024-01-02T03:04:05.000006+00:00", "day": "2024-01-02", "at": "03:04:00", "price": "1.50",
            "vector": [0.5, 2.0], "in": {"days": ["2024-01-02"]},
        }
    ]  # fmt: skip
    with pytest.raises(DataError, match="Line 1: 'raw' holds what JSON cannot: bytes"):
        run([row], *steps[::2])


def test_records_without_oracle_go_into_a_table(tmp_path: Path) -> None:
    rows = [{"question": f"q {n}", "document": f"d {n}", "answer": "a"} for n in range(9)]
    found = (Record(number, row) for number, row in enumerate(rows, start=1))
    steps = Pipeline([{"type": "raft", "distractors": 2, "without_oracle": 0.5}])
    run_to_file(found, "rows", steps, tmp_path / "made.parquet", "parquet")
    made = parquet.read_table(tmp_path / "made.parquet").to_pylist()
    assert len(made) == 9 and 0 < sum(row["oracle"] is not None for row in made) < 9


def test_documents_are_parted_by_blank_lines(tmp_path: Path) -> None:
    documents = [{"text": "one\ntwo"}, {"text": "three"}]
    write_records(iter([Record(1, row) for row in documents]), tmp_path / "a.txt", "text")
    assert [
        found.fields for found in read_records(tmp_path / "a.txt", "text") if isinstance(found, Record)
    ] == documents


@pytest.mark.parametrize(
    ("format", "rows", "said"),
    [
        ("csv", [{"a": "1"}, {"b": "2"}], "Line 2 has the fields 'b', the first record 'a'"),
        (
            "csv",
            [{"messages": []}],
            "'messages' is a list of 0 values; a CSV holds nothing but text. Write JSONL.$",
        ),
        ("csv", [{"metadata": {}}], "is an object of 0 fields; .* would not give it back .* a step transform"),
        ("text", [{"text": "a", "label": "b"}], "plain text holds 'text' alone"),
        ("text", [{"text": "a\n\nb"}], "blank line"),
        (
            "jsonl",
            [{"at": {"when": Path("x")}}],
            r"Line 1: 'at\.when' holds what JSON cannot: a value of the type PosixPath",
        ),
        ("jsonl", [{"raw": b"x"}], "'raw' holds what JSON cannot: bytes. Leave the field out by a step remove"),
        ("parquet", [{"long": timedelta(1)}], "'long' is a duration; a table cannot hold that. Leave the field out"),
        ("json", [{"x": [0.5, float("nan")]}], r"'x\.1' holds what JSON cannot: nan"),
        ("jsonl", [{"x": "\ud800"}], "half a surrogate pair"),
        ("jsonl", [], "No record is left"),
    ],
)
def test_what_does_not_fit_is_not_written(format: Any, rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(AfinadorError, match=said):
        write_records(iter([Record(n, row) for n, row in enumerate(rows, 1)]), tmp_path / "made", format)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_datasets_library_is_read(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list(
        [{"text": "a", "label": "b", "note": None}, {"text": "c", "label": "d", "note": "e"}]
    )
    rows.save_to_disk(tmp_path / "rows")
    datasets.DatasetDict(train=rows.select([1]), test=rows).save_to_disk(tmp_path / "splits")
    datasets.DatasetDict(test=rows).save_to_disk(tmp_path / "untrained")
    assert next(read_saved_dataset(tmp_path / "rows")).fields == {"text": "a", "label": "b"}
    assert [json.dumps(record.fields) for record in read_saved_dataset(tmp_path / "splits")] == [
        '{"text": "c", "label": "d", "note": "e"}'
    ]
    for folder, said in (("untrained", "no 'train'"), ("none", "save_to_disk"), (".", "holds no data set")):
        with pytest.raises(DataError, match=said):
            list(read_saved_dataset(tmp_path / folder))
