"""Files made to break readers: a verdict each, never an exception, never a long wait."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from afinador.data.task_fit import fitted
from afinador.data.validation import Report, load_examples, validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.test_every_fault import REMEDY

pytestmark = pytest.mark.shared_data

DERIVED = Path(__file__).parents[4] / "shared" / "data" / "pathological" / "derived"
SECONDS_ALLOWED = 5
# Metadata stand in another column of these.
READINGS = {"metadata": DatasetReading(mapping={"document": "text", "metadata": "metadata"})}
# These are doubtful for classification alone: where answers are written, each may differ, and texts may stand alone.
DECIDED_BY_TASK = {"cls_label_all_different.jsonl", "csv_label_is_text_swapped.csv", "csv_label_column_missing.csv"}
# Where the index leaves a verdict to policy, ours is the first that it names, but for these: docs/decisions/0013 has why.
_DECIDED = {
    "warn": """
        chat_ok_unicode.jsonl chat_ok_extra_top_level_key.jsonl chat_extra_field_types_vary.jsonl
        pc_ok_extra_columns.jsonl pc_ok_same_prompt_twice.jsonl pc_prompt_empty.jsonl jsonl_int_2_pow_70.jsonl
        jsonl_1000_keys.jsonl jsonl_gzip_whole.jsonl cls_label_mixed_types.jsonl cls_label_string_and_int.jsonl
        cls_label_floats.jsonl cls_label_one_class.jsonl csv_ok_formulas.csv csv_field_of_200_kb.csv
        csv_index_column.csv csv_trailing_comma.csv csv_one_class.csv csv_backslash_quotes.csv
    """,
    "reject": """
        chat_content_blank_assistant.jsonl chat_content_empty_user.jsonl chat_only_assistant.jsonl
        chat_weight_on_user.jsonl chat_weight_all_zero.jsonl chat_tool_calls_duplicate_ids.jsonl
        chat_tool_not_declared.jsonl chat_legacy_function_call.jsonl pc_completion_blank.jsonl
        jsonl_duplicate_keys.jsonl jsonl_duplicate_messages_key.jsonl cls_text_empty.jsonl csv_header_capitals.csv
        csv_text_after_closing_quote.csv csv_messages_column_json.csv meta_target_empty.jsonl
    """,
    "accept": """
        chat_two_users_in_a_row.jsonl chat_two_assistants_in_a_row.jsonl chat_system_in_the_middle.jsonl
        chat_base64_blob_in_text.jsonl chat_three_records.jsonl chat_one_record.jsonl
        jsonl_array_on_one_line.jsonl jsonl_array_over_lines.jsonl jsonl_utf16le_bom.jsonl jsonl_utf16be_bom.jsonl
        json_object_with_data_key.json cls_label_all_different.jsonl csv_header_spaces.csv csv_semicolons.csv
        csv_tabs.csv csv_pipes.csv csv_sep_line.csv csv_label_column_missing.csv csv_utf16_bom.csv csv_gzip_bytes.csv
        csv_label_looks_mixed.csv text_one_word.txt text_utf16_bom.txt meta_types_vary.jsonl meta_list_or_string.jsonl
    """,
}
ONE_OF_MANY = re.compile(
    r"(?<![\d.,'])1 (?:record|byte|line|row|character|value|field|column|token|time|object|label)s\b"
)
"""What is one and is said as if it were several."""
DECIDED = {file: verdict for verdict, files in _DECIDED.items() for file in files.split()}
# Either half of a mixed file may be the wrong one; records of an array are counted, not lines.
COUNTED_OTHERWISE = ("mixed_text_then_chat.jsonl", "json_array_")
# A small file is worth a word, but is no verdict.
NO_VERDICT = {"few_records"}
# Their filler is one page, many times over. The index counts it for nothing; we tell it, as of any other format.
REPEATED_FILLER = {
    "text_ok_plain.txt", "text_ok_crlf.txt", "text_ok_bom.txt", "text_form_feeds.txt", "text_utf16_bom.txt",
}  # fmt: skip


def derived() -> list[dict[str, str]]:
    if not DERIVED.is_dir():
        return []
    with (DERIVED / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def judged(path: Path, name: str | None = None, reading: DatasetReading | None = None) -> Report:
    started = time.thread_time()
    report = validate_dataset(path, name or path.name, reading)
    assert time.thread_time() - started < SECONDS_ALLOWED, path.name
    told = json.loads(json.dumps(report.to_json()))
    assert told["summary"] and "Traceback" not in told["summary"]
    messages = [each["message"] for each in (*told["errors"], *told["warnings"], *told["notes"])]
    assert not [each for each in (told["summary"], *messages) if ONE_OF_MANY.search(each)]
    told["summary"].encode()
    return report


def verdict_of(report: Report) -> str:
    if report.errors:
        return "reject"
    return "warn" if any(warning.code not in NO_VERDICT for warning in report.warnings) else "accept"


def test_each_decision_is_on_a_file_that_there_is(shared_data: Path) -> None:
    assert set(DECIDED) <= {entry["file"] for entry in derived()}


@pytest.mark.parametrize("entry", derived(), ids=lambda entry: entry["file"])
def test_verdict_is_right_names_the_first_bad_line_and_loading_agrees(shared_data: Path, entry: dict[str, str]) -> None:
    path = DERIVED / entry["file"]
    reading = READINGS.get(entry["read_as"])
    report = judged(path, reading=reading)
    lines = [error.line for error in report.errors if error.line is not None]
    for problem in (*report.errors, *report.warnings):
        assert REMEDY.search(problem.message), f"no remedy: {problem.message}"
    for error in report.errors:
        assert error.line is None or f" {error.line}" in error.message or "header" in error.message, error
    expected = DECIDED.get(entry["file"], entry["verdict"])
    if entry["file"] in REPEATED_FILLER:
        assert expected == "accept" and report.is_valid and report.counts.keys() == {"duplicate"}, report.summary()
    else:
        assert verdict_of(report) == expected, report.summary()
    if entry["file"] not in DECIDED_BY_TASK:
        assert expected in {entry["verdict"], *entry["also_fine"].split()}
        is_firm = entry["verdict"] == "reject" and entry["line"] and len(lines) == len(report.errors) > 0
        if is_firm and not entry["file"].startswith(COUNTED_OTHERWISE):
            assert min(lines) == int(entry["line"])
    if report.format is not None and report.is_valid:
        assert len(list(load_examples(path, report.format, reading))) == report.records
    elif report.format is not None:
        with pytest.raises(DataError):
            list(load_examples(path, report.format, reading))


@pytest.mark.parametrize("name", sorted(DECIDED_BY_TASK))
def test_what_is_doubtful_for_a_classifier_alone_is_refused_where_the_task_is_told(
    shared_data: Path, name: str
) -> None:
    report = judged(DERIVED / name).to_json()
    (told,) = fitted([(name, report)], "sequence_classification")
    assert told["errors"] and name in told["summary"] and REMEDY.search(told["summary"])
    (told,) = fitted([(name, report)], "causal_lm")
    assert told == report


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
        # Good JSON, if hardly a data set; that a key stands twice is what docs/decisions/0013 calls an error.
        if path.name.startswith("y_") and extension == ".json" and "duplicated_key" not in path.name:
            assert "json_syntax" not in report.counts, path.name


# What takes long if somebody goes back to the beginning, or looks for an end, for each of its parts.
GROWING: dict[str, Callable[[int], bytes]] = {
    "escapes.jsonl": lambda n: b'{"a": "' + b"\\u0022" * (50 * n) + b'"}',
    "nuls.jsonl": lambda n: b'{"text": "' + b"\\u0000\\u0001" * (30 * n) + b'"}',
    "misread.jsonl": lambda n: b'{"text": "' + b"\\u00c3\\u0091" * (30 * n) + b'\\u0000"}',
    "addresses.jsonl": lambda n: b'{"document": "d", "metadata": [' + b'"a@b.mx \\u0000",' * n + b'""]}',
    "array.json": lambda n: b"[" + b'{"text": "a"},' * n + b"]",
    "open_text.json": lambda n: b'[{"a": "' + b"x" * (100 * n),
    "open_arrays.json": lambda n: b'{"a": ' + b'{"b": [' * (5 * n),
    "one_key_again.json": lambda n: b'{"x": 1' + b', "y": 2' * (3 * n) + b"}",
    "no_colons.json": lambda n: b'{"' + b'", "'.join(b"%d" % at for at in range(n)),
    "keys_before_data.json": lambda n: b"{" + b", ".join(b'"%d": 0' % at for at in range(n)) + b', "data": [{"text": "a"}]}',
    "open_quote.csv": lambda n: b'text,label\n"' + b"a\n" * (3 * n),
    "text_after_quotes.csv": lambda n: b"text,label\n" + b'"a"b",c\n' * n,
    "open_escaped_quotes.csv": lambda n: b"text,label\n" + b'"a\\' * (5 * n),
    "closed_escaped_quotes.csv": lambda n: b'text,label\n"' + b'a\\"' * (5 * n) + b'",b\n',
    "escaped_quotes_by_delimiters.csv": lambda n: b"text,label\n" + b'"a\\",' * (3 * n),
    "escaped_quotes_by_tabs.tsv": lambda n: b"text\tlabel\n" + b'"a\\"\t' * (3 * n),
    "escaped_and_doubled_quotes.csv": lambda n: b"text,label\n" + b'""\\"' * (5 * n),
    "single_escaped_quotes.csv": lambda n: b"'text','label'\n" + b"'a\\" * (5 * n),
    "backslashes.csv": lambda n: b'text,label\n"\\"",' + b"\\\\" * (10 * n),
    "json_over_lines.csv": lambda n: b'text,label\n"{' + b'\\"a\\": 1, ' * n + b"\n" + b'\\"b\\": 2, ' * n + b'}",c\n',
    "short_open_quotes.csv": lambda n: b"text,label\n" + b'"a\\"b\n' * n,
    "rows_of_escaped_quotes.csv": lambda n: b"text,label\n" + b'"a \\"b\\", c",\\\\d\n' * n + b'"a \\"',
    "blanks_before_quotes.csv": lambda n: b'text, label\n"a \\"b\\"",  "c"\n' + b'"a",' + b" " * (10 * n) + b'"b\\"\n',
    "commas.csv": lambda n: b"," * (15 * n) + b"\n",
    "columns.csv": lambda n: b",".join(b"c%d" % at for at in range(n)) + b"\n",
    "lines.txt": lambda n: b"a\n" * (4 * n),
    "no_utf8.txt": lambda n: b"\xff\n" * n,
    "equal.jsonl": lambda n: b'{"text": "a b c d e f g h i j k l m", "label": "a"}\n' * n,
    "answers.jsonl": lambda n: b"".join(b'{"prompt": "a", "completion": "%d"}\n' % at for at in range(n)),
    "labels.csv": lambda n: b"text,label\n" + b"".join(b"%d,label %d\n" % (at, at) for at in range(n)),
    "fields.jsonl": lambda n: b"{" + b",".join(b'"%d":1' % at for at in range(n)) + b"}\n",
}  # fmt: skip
SIZE, TIMES = 5_000, 4


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_no_faster_than_the_file(tmp_path: Path, name: str) -> None:
    def seconds(size: int) -> float:
        path = tmp_path / name
        path.write_bytes(GROWING[name](size))
        started = time.process_time()
        judged(path)
        return time.process_time() - started

    seconds(SIZE // 100)  # what is made once
    measured = []
    for _ in range(3):  # other programs disturb one measurement, hardly three
        measured.append((seconds(SIZE), seconds(TIMES * SIZE)))
        if measured[-1][1] < 1.5 * TIMES * measured[-1][0] + 0.1:
            return
    raise AssertionError(f"of {TIMES} times the size (seconds each): {measured}")
