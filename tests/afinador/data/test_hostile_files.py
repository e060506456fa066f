"""Files made to break readers: a verdict each, never an exception, never a long wait."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from afinador.data.validation import Report, load_examples, validate_dataset
from afinador.errors import DataError

pytestmark = pytest.mark.shared_data

DERIVED = Path(__file__).parents[4] / "shared" / "data" / "pathological" / "derived"
SECONDS_ALLOWED = 5
FORMS_READ = {
    "chat", "mixed", "prompt_completion", "any_jsonl", "any_json", "prompt_completion_csv", "classification",
    "classification_csv", "chat_csv", "text", "classification_table", "chat_table",
}  # fmt: skip
# These are doubtful for classification alone: where answers are written, each may differ, and texts may stand alone.
DECIDED_BY_TASK = {"cls_label_all_different.jsonl", "csv_label_is_text_swapped.csv", "csv_label_column_missing.csv"}
# Either half of a mixed file may be the wrong one; records of an array are counted, not lines.
COUNTED_OTHERWISE = ("mixed_text_then_chat.jsonl", "json_array_")
# A small file is worth a word, but is no verdict.
REMEDY = re.compile(r"\. [A-Z]|must |; |, but |, so there is nothing| only the |, which no ")
NO_VERDICT = {"few_records"}


def derived() -> list[dict[str, str]]:
    if not DERIVED.is_dir():
        return []
    with (DERIVED / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def judged(path: Path, name: str | None = None) -> Report:
    started = time.thread_time()
    report = validate_dataset(path, name or path.name)
    assert time.thread_time() - started < SECONDS_ALLOWED, path.name
    told = json.loads(json.dumps(report.to_json()))
    assert told["summary"] and "Traceback" not in told["summary"]
    told["summary"].encode()
    return report


def verdict_of(report: Report) -> str:
    if report.errors:
        return "reject"
    return "warn" if any(warning.code not in NO_VERDICT for warning in report.warnings) else "accept"


@pytest.mark.parametrize("entry", derived(), ids=lambda entry: entry["file"])
def test_verdict_is_right_names_the_first_bad_line_and_loading_agrees(shared_data: Path, entry: dict[str, str]) -> None:
    path = DERIVED / entry["file"]
    report = judged(path)
    lines = [error.line for error in report.errors if error.line is not None]
    for error in report.errors:
        assert error.line is None or f" {error.line}" in error.message or "header" in error.message, error
        assert REMEDY.search(error.message), f"no remedy: {error.message}"
    if entry["read_as"] in FORMS_READ and entry["file"] not in DECIDED_BY_TASK:
        assert verdict_of(report) in {entry["verdict"], *entry["also_fine"].split()}, report.summary()
        is_firm = entry["verdict"] == "reject" and entry["line"] and len(lines) == len(report.errors) > 0
        if is_firm and not entry["file"].startswith(COUNTED_OTHERWISE):
            assert min(lines) == int(entry["line"])
    if report.format is not None and report.is_valid:
        assert len(list(load_examples(path, report.format))) == report.records
    elif report.format is not None:
        with pytest.raises(DataError):
            list(load_examples(path, report.format))


@pytest.mark.parametrize(
    "extension", [".json", ".jsonl", ".csv", ".txt", ".jsonl.gz", ".parquet", ".arrow", ".zip", ".tar"]
)
def test_json_test_suite_never_breaks_a_reader(shared_data: Path, tmp_path: Path, extension: str) -> None:
    paths = sorted((shared_data / "pathological" / "json-test-suite").glob("*.json"))
    assert len(paths) == 318
    for path in paths:
        name = path.stem + extension
        if extension.endswith(".gz"):
            packed = tmp_path / name
            packed.write_bytes(gzip.compress(path.read_bytes(), 1))
            report = judged(packed)
        else:
            report = judged(path, name)
        if path.name.startswith("n_") and extension.startswith(".json"):
            assert report.errors, path.name


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.jsonl", b'{"a": "' + b"\\u0022" * 2_000_000 + b'"}'),
        ("a.json", b"[" + b'{"text": "a"},' * 30_000 + b"]"),
        ("a.json", b'[{"a": "' + b"x" * 4_000_000),
        ("a.json", b'{"a": ' + b'{"b": [' * 200_000),
        ("a.json", b'{"x": 1' + b', "y": 2' * 100_000 + b"}"),
        ("a.json", b'{"' + b'", "'.join(b"%d" % n for n in range(10_000))),
        ("a.json", b"{" + b", ".join(b'"%d": 0' % n for n in range(10_000)) + b', "data": [{"text": "a"}]}'),
        ("a.csv", b'text,label\n"' + b"a\n" * 100_000),
        ("a.csv", b"text,label\n" + b'"a"b",c\n' * 30_000),
        ("a.csv", b"," * 500_000 + b"\n"),
        ("a.csv", b",".join(b"c%d" % n for n in range(9_000)) + b"\n"),
        ("a.txt", b"a\n" * 150_000),
        ("a.txt", b"\xff\n" * 30_000),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:14].decode("latin-1"),
)
def test_time_grows_no_faster_than_the_file(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    judged(path)
