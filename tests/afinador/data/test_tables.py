"""Columns of tables: nulls, ids of labels, and maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.written_formats import problem, read, rows


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
