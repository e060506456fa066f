"""Whatever bytes come, an answer comes: a record, or a problem that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as any_of

from afinador.data.files.formats import FORMATS
from afinador.data.files.json_values import BrokenJSONError, Decoder, decode_quickly
from afinador.data.files.readers import read_records
from afinador.data.files.writers import write_records
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.test_formats import CONTENTS

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
READERS = [format for format, row in FORMATS.items() if row.extensions]


@any_of.composite
def nearly(draw: Any, whole: bytes) -> bytes:
    """Draw a file with a few bytes changed, taken out or put in."""
    changed = bytearray(whole)
    for _ in range(draw(any_of.integers(1, 4))):
        at = draw(any_of.integers(0, len(changed)))
        removed = draw(any_of.integers(0, 6))
        changed[at : at + removed] = draw(any_of.binary(max_size=6))
    return bytes(changed)


def answered(path: Path, format: Any, reading: DatasetReading | None = None) -> None:
    for found in read_records(path, format, reading):
        assert isinstance(found, Record | Problem)
        if isinstance(found, Problem):
            assert found.message and "Traceback" not in found.message and found.message.endswith((".", "?", ")"))
    report = validate_dataset(path, f"data{FORMATS[format].extensions[0]}", reading)
    assert report.is_valid or report.errors[0].message
    json.dumps(report.to_json())


@pytest.mark.parametrize("format", READERS)
def test_any_bytes_are_answered(tmp_path: Path, format: Any) -> None:
    whole = CONTENTS[FORMATS[format].extensions[0]]
    path = tmp_path / "data"

    @SOME
    @given(any_of.one_of(any_of.binary(max_size=200), nearly(whole)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        answered(path, format)

    check()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "windows-1252"])
def test_any_bytes_in_any_encoding_are_answered(tmp_path: Path, encoding: Any) -> None:
    path = tmp_path / "data"

    @SOME
    @given(any_of.binary(max_size=200), any_of.sampled_from(["jsonl", "json", "csv", "text"]))
    def check(content: bytes, format: Any) -> None:
        path.write_bytes(content)
        answered(path, format, DatasetReading(encoding=encoding))

    check()


_texts = any_of.text(any_of.characters(exclude_categories=["Cs"]), max_size=8)
_values = any_of.recursive(
    any_of.one_of(
        any_of.none(),
        any_of.booleans(),
        any_of.integers(),
        any_of.floats(allow_nan=False, allow_infinity=False),
        _texts,
    ),
    lambda inner: any_of.one_of(any_of.lists(inner, max_size=3), any_of.dictionaries(_texts, inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.parametrize("format", ["jsonl", "json", "parquet", "arrow", "csv", "text"])
def test_any_record_comes_back_as_it_was_or_is_refused(tmp_path: Path, format: Any) -> None:
    path = tmp_path / "data"

    @SOME
    @given(
        any_of.lists(
            any_of.dictionaries(any_of.one_of(any_of.just("text"), _texts), any_of.one_of(_texts, _values), max_size=3),
            min_size=1,
            max_size=3,
        )
    )
    def check(rows: list[dict[str, Any]]) -> None:
        try:
            write_records((Record(number, row) for number, row in enumerate(rows, start=1)), path, format)
        except DataError as error:
            assert error.message
            return
        found = list(read_records(path, format))
        assert [each.fields for each in found if isinstance(each, Record)] == rows, found

    check()


@SOME
@given(
    any_of.one_of(
        nearly(b'{"a": 1, "b" : [{"c": "\\u0022\\"", "a": 123456789012345678901}], "a": "\\ud83d\\ude00"}'),
        _values.map(json.dumps).map(str.encode),
    )
)
def test_quick_decoding_is_right_or_asks_for_a_closer_look(raw: bytes) -> None:
    try:
        quick = decode_quickly(raw)
    except ValueError:
        return
    text = raw.decode()
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        slow, end = Decoder().decode_at(text, start)
    except BrokenJSONError as error:
        raise AssertionError(f"{raw!r} was taken, but {error}") from error
    assert json.dumps(quick) == json.dumps(slow) and not text[end:].strip(" \t\r\n")
