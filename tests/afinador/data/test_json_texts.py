"""JSON that stands in a text of a record, and values that no JSON can hold: as strict as JSON of its own."""

import datetime
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.extraction import Extraction
from afinador.data.files.json_values import DEEPEST, BrokenJSONError, decode_text
from afinador.data.files.loaders import read_with_loader
from afinador.data.records import Problem, Record
from afinador.data.shapes import Example, to_example
from afinador.data.validation import validate_dataset
from afinador.schemas.datasets import DatasetReading


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BROKEN = {
    r'{"a": "\ud800"}': "half a surrogate pair",
    '{"a": NaN}': "NaN is no JSON value",
    '{"a": 1, "a": 2}': "the key 'a' occurs twice",
    '{"a": 1} {}': "it goes on after its value, at character 9",
    nested(DEEPEST + 1): "nested too deeply .more than 254 levels",
}


@pytest.mark.parametrize("text", BROKEN)
def test_json_texts_of_records_are_as_strict_as_json(text: str) -> None:
    with pytest.raises(BrokenJSONError, match=BROKEN[text]):
        decode_text(text)
    for field in ("metadata", "schema"):
        found = to_example(Record(3, {"document": "d", "metadata": {"a": 1}, field: text}), "document_metadata")
        assert isinstance(found, Problem) and (found.code, found.line, found.field) == ("wrong_type", 3, field)
        assert f"'{field}' must be an object, or the JSON text of one" in found.message
        assert re.search(BROKEN[text], found.message)
    call = {"id": "1", "type": "function", "function": {"name": "go", "arguments": text}}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]
    found = to_example(Record(3, {"messages": messages}), "messages")
    assert isinstance(found, Problem) and found.code == "bad_tool_call"
    turns = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": f'{{"name": "x", "arguments": {text}}}'},
    ]
    found = to_example(Record(3, {"conversations": turns}), "sharegpt")
    assert isinstance(found, Problem) and found.code == "bad_tool_call" and "is no JSON" in found.message


@pytest.mark.parametrize("extension", ["jsonl", "json"])
def test_json_is_nested_as_deep_by_every_reader_and_can_be_asked_for_by_schema(tmp_path: Path, extension: str) -> None:
    deepest = nested(DEEPEST - 1)
    for metadata, codes in ((deepest, []), (nested(DEEPEST), ["json_syntax"]), (nested(990), ["json_syntax"])):
        record = f'{{"document": "d", "metadata": {metadata}}}'
        path = tmp_path / f"a.{extension}"
        path.write_text(f"{record}\n" if extension == "jsonl" else f"[{record}]")
        assert [error.code for error in validate_dataset(path, path.name).errors] == codes
    example = to_example(Record(1, {"document": "d", "metadata": json.loads(deepest)}), "document_metadata")
    assert isinstance(example, Example) and example.document is not None
    assert Extraction("schema").request(example.document)


@pytest.mark.parametrize(
    ("value", "said"), [(datetime.date(2026, 1, 1), "a value of the type date"), (float("nan"), "NaN")]
)
def test_values_of_a_table_that_no_json_can_hold_are_faults(tmp_path: Path, value: object, said: str) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_pylist([{"document": "d", "metadata": {"a": value}}]), path)
    (error,) = validate_dataset(path, path.name).errors
    assert error.code == "wrong_type" and f"'metadata' holds {said}" in error.message


def test_half_a_surrogate_pair_of_a_loader_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_halves.py").write_text(
        'def read(path):\n    yield {"text": "\\ud800"}\n    yield {"text": "a"}\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    half, whole = read_with_loader(tmp_path, DatasetReading(loader="acme_halves:read"))
    assert (
        isinstance(half, Problem) and half.code == "json_syntax" and half.message.startswith("Record 1 of the loader")
    )
    assert isinstance(whole, Record)
