"""Metadata held against the schemas of their records, hostile ones among them."""

import json
import time
from pathlib import Path

import pytest

from afinador.data.extraction import Document
from afinador.data.metadata_schema import MOST_COMPLAINTS
from afinador.data.records import Problem, Record
from afinador.data.schema_checks import SchemaChecks
from afinador.data.validation import validate_dataset

LATEST = "https://json-schema.org/draft/2020-12/schema"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
PAPER = {"type": "object", "properties": {"year": {"type": "integer"}, "name": {"type": "string", "pattern": "^[A-Z]"}},
         "required": ["year"], "additionalProperties": False}  # fmt: skip
PAIR = {"properties": {"pair": {"items": [{"type": "integer"}, {"type": "string"}]}}}
SLOW_PATTERN = "^(a+)+$"
SLOW_TEXT = "a" * 40 + "!"
BRANCHING = {str(level): {"allOf": [{"$ref": f"#/$defs/{level + 1}"}] * 2} for level in range(40)} | {"40": True}


def all_of(metadata: dict, schema: dict) -> list[tuple[str | None, str]]:
    found: list[list[Problem]] = []
    checks = SchemaChecks()
    checks.ask_all(Record(1, {}), Document("text", metadata, schema=schema), found.append)
    checks.finish()
    ((problems),) = found
    assert {each.code for each in problems} <= {"schema_mismatch"}
    return [(each.field, each.message) for each in problems]


def checked(checks: SchemaChecks, *pairs: tuple[dict, dict | None]) -> list[Problem | None]:
    found: list[Problem | None] = []
    for line, (metadata, schema) in enumerate(pairs, start=1):
        checks.ask(Record(line, {}), Document("text", metadata, schema=schema), found.append)
    checks.finish()
    return found


@pytest.mark.parametrize(
    ("metadata", "schema", "said"),
    [
        ({"year": 1999, "name": "Ada"}, PAPER, None),
        ({"name": "Ada"}, PAPER, "'metadata' lacks 'year', which its schema requires"),
        ({"year": "mail@example.org"}, PAPER, ''''metadata.year' is a text of 16 characters, but its schema says type: "integer".'''),
        ({"year": 1, "name": "ada"}, PAPER, "'metadata.name' is a text of 3 characters, but its schema says pattern"),
        ({"year": 1, "more": 2}, PAPER, "its schema has no such field and says additionalProperties: false"),
        ({"a": {"b": 1}}, {"$schema": LATEST, "properties": {"a": {"properties": {"b": False}}}},
         "'metadata.a.b' is 1, but its schema allows no value there"),
        ({"x_1": 1}, {"$schema": LATEST, "patternProperties": {"^x_": {"type": "string"}}}, "'metadata.x_1' is 1"),
        ({"pair": [1, "a"]}, {"$schema": DRAFT_7, **PAIR}, None),
        ({"pair": [1, 2]}, {"$schema": DRAFT_7, **PAIR}, "'metadata.pair.1' is 2, but its schema says type"),
        ({"pair": [1, 2]}, {"$schema": LATEST, **PAIR}, "is no JSON Schema of the draft https://json-schema.org/draft/2020"),
        ({"a": 1}, {"$schema": LATEST, "$ref": "https://example.org/schema"},
         "its 'schema' refers to 'https://example.org/schema', which is not in it, and nothing is fetched"),
        ({"a": 1}, {"$schema": LATEST, "$ref": "#"}, "refers to itself without end"),
        ({"a": 1}, {"$schema": LATEST, "type": "nothing"}, "is no JSON Schema"),
        ({"a": 1}, {"$schema": LATEST, "type": "strng"}, "Did you mean 'string'? Correct the metadata"),
        ({"title": "any"}, {"title": ""}, None),
    ],
)  # fmt: skip
def test_metadata_have_to_fit_the_json_schema_of_their_record(metadata, schema, said):
    (found,) = checked(SchemaChecks(), (metadata, schema))
    if said is None:
        assert found is None
    else:
        assert (found.code, found.line) == ("schema_mismatch", 1)
        assert found.message.startswith("Line 1: ") and said in found.message and "mail@" not in found.message


def test_all_that_does_not_fit_is_told_by_its_field():
    wanted = {"title": {"type": "string"}, "year": {"type": "integer"}, "by": {"items": {"required": ["a", "b"]}}}
    schema = {"type": "object", "properties": wanted, "required": ["z"], "additionalProperties": False}
    found = all_of({"title": 3, "year": "x", "more": 1, "ana.perez@empresa.mx": 2, "by": [{"a": 1}, {}]}, schema)
    assert {field for field, _ in found} == {
        "metadata.title", "metadata.year", "metadata.more", "metadata.[an e-mail address]", "metadata.z",
        "metadata.by.0.b", "metadata.by.1.a", "metadata.by.1.b",
    }  # fmt: skip
    assert len(found) == 8 and "perez" not in str(found)
    assert all(len(field) < 100 for field, _ in all_of({"x" * 10_000: 1}, schema))


def test_what_does_not_fit_is_told_within_bounds():
    names = [f"n{number}" for number in range(20_000)]
    schema = {"$schema": LATEST, "required": names, "additionalProperties": False}
    for metadata in ({}, dict.fromkeys(map(str.upper, names)), {**dict.fromkeys(names), "a": 1}):
        found = all_of(metadata, schema)
        assert found and len(found) <= MOST_COMPLAINTS and len(set(found)) == len(found)
    assert (
        len(all_of({"many": ["a"] * 50_000}, {"$schema": LATEST, "properties": {"many": {"items": {"type": "null"}}}}))
        == 10
    )


@pytest.mark.parametrize(
    ("metadata", "schema"),
    [
        ({SLOW_TEXT: 1}, {"$schema": LATEST, "patternProperties": {SLOW_PATTERN: {}}, "additionalProperties": False}),
        ({SLOW_TEXT: 1}, {"$schema": LATEST, "patternProperties": {SLOW_PATTERN: {}}, "unevaluatedProperties": False}),
        ({"a": SLOW_TEXT}, {"$schema": LATEST, "properties": {"a": {"pattern": SLOW_PATTERN}, "b": {"$ref": "#"}}}),
        ({"a": 1}, {"$schema": LATEST, "$ref": "#/$defs/0", "$defs": BRANCHING}),
        ({"a": [{"b": each} for each in range(6000)]}, {"$schema": LATEST, "properties": {"a": {"uniqueItems": True}}}),
    ],
    ids=["additional", "unevaluated", "pattern", "branching", "unique"],
)
def test_a_hostile_schema_is_stopped_and_blamed_alone(metadata, schema):
    began = time.process_time()
    good = ({"year": 1}, PAPER)
    before, bad, without, after = checked(
        SchemaChecks(seconds_per_record=0.1), good, (metadata, schema), ({"a": 1}, None), good
    )
    assert bad.code == "schema_too_costly" and "took more than 0.1" in bad.message and bad.line == 2
    assert before is without is after is None
    assert time.process_time() - began < 1


def test_a_file_has_its_time_and_what_was_not_checked_is_told():
    slow = ({"a": SLOW_TEXT}, {"$schema": LATEST, "properties": {"a": {"pattern": SLOW_PATTERN}}})
    found = checked(SchemaChecks(seconds_per_record=0.05, seconds_per_file=0.12), *[slow] * 300, ({"year": 1}, PAPER))
    codes = [each.code for each in found]
    assert set(codes[:-1]) == {"schema_too_costly", "schema_unchecked"} and codes == sorted(codes)
    assert "stopped" in found[0].message
    assert "were not held against its schema, for those before it took more than 0.12 s" in found[-1].message


def test_a_schema_of_an_unknown_draft_is_a_doubt(tmp_path: Path):
    record = {"document": "d", "metadata": {"a": 1}, "schema": {"$schema": "https://example.org/mine"}}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record) + "\n")
    report = validate_dataset(path, path.name)
    assert report.is_valid and report.lengths
    (doubt,) = (each for each in report.warnings if each.code == "schema_dialect")
    assert "'https://example.org/mine'" in doubt.message and "are not held against it" in doubt.message


@pytest.mark.parametrize("extension", ["jsonl", "json", "csv"])
def test_every_format_is_checked_in_order(tmp_path: Path, extension: str):
    records = [{"document": f"d{number}", "metadata": {"year": number}, "schema": PAPER} for number in range(250)]
    records[120]["metadata"] = {"year": "x"}
    records[7]["schema"] = {"year": ""}
    path = tmp_path / f"a.{extension}"
    if extension == "csv":
        lines = [
            ",".join(f'"{(each if isinstance(each, str) else json.dumps(each)).replace(chr(34), 2 * chr(34))}"'
                     for each in record.values())
            for record in records
        ]  # fmt: skip
        path.write_text("\n".join(["document,metadata,schema", *lines]))
    else:
        path.write_text(json.dumps(records) if extension == "json" else "\n".join(map(json.dumps, records)))
    report = validate_dataset(path, path.name)
    (error,) = report.errors
    assert (error.code, error.line) == ("schema_mismatch", 122 if extension == "csv" else 121)
    assert (report.records, sum(report.lengths.values()), report.repetitions.compared) == (250, 249, 249)
