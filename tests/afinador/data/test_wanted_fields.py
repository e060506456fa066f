"""Fields of metadata that nobody has asked for are told, and learnt as they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.extraction import Document, Extraction
from afinador.data.validation import validate_dataset
from afinador.data.wanted_fields import FIELDS_TOLD, doubt_of, unasked_fields

PAPER = {"type": "object", "properties": {"title": {}, "author": {"properties": {"name": {}}}}}
CLOSED = {**PAPER, "additionalProperties": False}


@pytest.mark.parametrize(
    ("metadata", "schema", "unasked"),
    [
        ({"title": "t"}, {"title": "", "year": ""}, []),
        ({"title": "t", "year": 1}, {"title": ""}, ["year"]),
        ({"author": {"name": "n", "born": 1}}, {"author": {"name": ""}}, ["author.born"]),
        ({"author": {"name": "n"}}, {"author": ""}, ["author.name"]),
        ({"author": {"name": "n"}}, {"author": {}}, []),
        ({"parts": [{"title": "t", "n": 1}, {"n": 2}]}, {"parts": [{"title": ""}]}, ["parts[].n"]),
        ({"parts": ["t"]}, {"parts": ["string"]}, []),
        ({"parts": ["t", 1, None]}, {"parts": []}, []),
        ({"parts": [{"title": "t"}]}, {"parts": []}, ["parts[].title"]),
        ({"parts": [{"title": "t"}, "u"]}, {"parts": [""]}, ["parts[].title"]),
        ({"parts": [{"title": "t"}]}, {"parts": ""}, ["parts[].title"]),
        ({"parts": [{"title": "t"}]}, {"parts": [{}]}, []),
        ({"parts": [[{"title": "t"}]]}, {"parts": [[""]]}, ["parts[][].title"]),
        ({"title": "t", "author": {"name": "n"}}, PAPER, []),
        ({"year": 1, "author": {"born": 1}}, PAPER, ["year", "author.born"]),
        ({"year": 1}, CLOSED, []),
        ({"year": 1}, {**PAPER, "patternProperties": {"^y": {}}}, []),
        ({"author": {"born": 1}}, {**PAPER, "properties": {"author": {"$ref": "#/$defs/author"}}}, []),
        ({"parts": [{"n": 1}]}, {**PAPER, "properties": {"parts": {"items": {"properties": {"title": {}}}}}}, ["parts[].n"]),
    ],
)  # fmt: skip
def test_fields_that_a_schema_does_not_have_are_found(metadata: Any, schema: Any, unasked: list[str]) -> None:
    assert unasked_fields(metadata, schema) == unasked


def test_of_many_fields_the_first_are_told() -> None:
    found = unasked_fields({f"f{number}": 1 for number in range(10**5)}, {"title": ""})
    assert len(found) == FIELDS_TOLD + 1 and doubt_of(found, "its schema").count("'f") == FIELDS_TOLD


def test_the_verdict_names_them_by_line(tmp_path: Path) -> None:
    rows = [{"document": f"d{number}", "metadata": {"title": f"t{number}", "year": number}} for number in range(3)]
    schemas: list[dict[str, Any]] = [{}, {"schema": {"title": "", "year": ""}}, {"schema": {"title": ""}}]
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(f"{json.dumps({**row, **schema})}\n" for row, schema in zip(rows, schemas, strict=True)))
    report = validate_dataset(path, path.name)
    [doubt] = [each for each in report.warnings if each.code == "unasked_fields"]
    assert (doubt.line, doubt.field, report.errors) == (3, "metadata", [])
    assert "its metadata have 'year', which its schema does not ask for" in doubt.message


def test_what_is_learnt_stays_as_it_was_written() -> None:
    extraction = Extraction("schema", schema={"title": ""})
    document = Document("d", {"title": "t", "year": 1})
    assert json.loads(extraction.request(document)[1]) == {"title": "t", "year": 1}
    assert extraction.unasked(document) == ("year",)
    assert extraction.unasked(Document("d", {"year": 1}, schema={"year": ""})) == ()
    assert Extraction("prompt", schema={"title": ""}).unasked(document) == ()
