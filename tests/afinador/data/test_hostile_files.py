"""Files made to break readers: a verdict each, never an exception, never a long wait."""

import csv
import json
import time
from pathlib import Path

import pytest

from afinador.data.validation import load_examples, validate_dataset
from afinador.errors import DataError

pytestmark = pytest.mark.shared_data

SECONDS_ALLOWED = 5
FORMS_READ = {
    "chat", "mixed", "prompt_completion", "any_jsonl", "any_json", "prompt_completion_csv", "classification",
    "classification_csv", "chat_csv", "text",
}  # fmt: skip
# These are doubtful for classification alone: where answers are written, each may differ.
DECIDED_BY_TASK = {"cls_label_all_different.jsonl", "csv_label_is_text_swapped.csv"}


def derived(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "pathological" / "derived" / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def judged(path: Path, name: str | None = None):
    started = time.monotonic()
    report = validate_dataset(path, name or path.name)
    assert time.monotonic() - started < SECONDS_ALLOWED, path.name
    told = json.loads(json.dumps(report.to_json()))
    assert told["summary"] and "Traceback" not in told["summary"]
    told["summary"].encode()
    return report


def verdict_of(report) -> str:
    if report.errors:
        return "reject"
    # A small file is worth a word, but is no verdict.
    return "warn" if any(warning.code != "few_records" for warning in report.warnings) else "accept"


def test_verdict_on_every_form_that_is_read_is_a_right_one(shared_data):
    folder = shared_data / "pathological" / "derived"
    wrong = []
    for entry in derived(shared_data):
        verdict = verdict_of(judged(folder / entry["file"]))
        allowed = {entry["verdict"], *entry["also_fine"].split()}
        if entry["read_as"] in FORMS_READ and entry["file"] not in DECIDED_BY_TASK and verdict not in allowed:
            wrong.append((entry["file"], verdict, allowed))
    assert wrong == []


def test_first_bad_line_is_named(shared_data):
    folder = shared_data / "pathological" / "derived"
    wrong = []
    for entry in derived(shared_data):
        report = judged(folder / entry["file"])
        lines = [error.line for error in report.errors]
        # Where the whole file is refused there is no line; in a mixed file either half may be the wrong one;
        # in a JSON array records are counted, not lines.
        if entry["verdict"] == "reject" and entry["line"] and entry["read_as"] in FORMS_READ and None not in lines:
            uncounted = entry["file"] == "mixed_text_then_chat.jsonl" or entry["file"].startswith("json_array_")
            if lines and not uncounted and min(lines) != int(entry["line"]):
                wrong.append((entry["file"], lines, entry["line"]))
    assert wrong == []


def test_loading_agrees_with_the_verdict(shared_data):
    folder = shared_data / "pathological" / "derived"
    for entry in derived(shared_data):
        report = judged(folder / entry["file"])
        if report.format is None:
            continue
        if report.is_valid:
            assert len(load_examples(folder / entry["file"], report.format)) == report.records
        else:
            with pytest.raises(DataError):
                load_examples(folder / entry["file"], report.format)


@pytest.mark.parametrize("extension", [".json", ".jsonl", ".csv", ".txt"])
def test_json_test_suite_never_breaks_a_reader(shared_data, extension):
    paths = sorted((shared_data / "pathological" / "json-test-suite").glob("*.json"))
    assert len(paths) == 318
    for path in paths:
        report = judged(path, path.stem + extension)
        if path.name.startswith("n_") and extension.startswith(".json"):
            assert report.errors, path.name


@pytest.mark.parametrize("name", ["gsm8k", "openai-chat", "lm-text", "banking77", "tool-calling", "books"])
def test_real_files_never_break_a_reader(shared_data, name):
    for path in (shared_data / name).iterdir():
        if path.is_file():
            judged(path)
