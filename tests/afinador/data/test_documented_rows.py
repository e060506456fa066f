"""Each row of the tables in docs/formats.md has its test: those of formats and shapes elsewhere, of all others here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files import archives, folders, json_documents
from afinador.data.files.formats import FORMATS
from afinador.data.shapes import SHAPES
from afinador.data.validation import validate_dataset
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data import (
    test_any_bytes,
    test_archives_and_folders,
    test_hostile_tables,
    test_json_texts,
    test_mapping,
    test_readers,
    test_schema_checks,
    test_token_checks,
)

CELLS = re.compile(r"(?<!\\)\|")


def keys_of_table(root: Path, heading: str) -> list[str]:
    """Return the first cells of the table with a heading, without marks."""
    lines = iter((root / "docs" / "formats.md").read_text(encoding="utf-8").splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        cell = CELLS.split(line)[1].strip()
        found.append(re.sub(r"\[?`(\w+)`(\]\(.*\))?", r"\1", cell))
    return found


def error_of(path: Path, reading: DatasetReading | None = None) -> str:
    [error] = validate_dataset(path, path.name, reading).errors
    return error.message


def test_a_value_of_a_json_document_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_documents, "LONGEST_VALUE_CHARACTERS", 2**20)
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"text": "a"}, {"text": "b " * 2**18}]))
    assert validate_dataset(path, path.name).is_valid
    path.write_text(json.dumps([{"text": "a"}, {"text": "b " * 2**21}, {"text": "c"}]))
    assert "line 1, is no JSON, or longer than 1 Mi characters, the most that is read" in error_of(path)


@pytest.mark.parametrize("extension", ["parquet", "arrow"])
def test_a_record_of_a_table_is_read_up_to_its_limit(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"data.{extension}"
    for characters, is_valid in ((63 << 20, True), (65 << 20, False)):
        table = pa.table({"text": ["a short text", "word " * (characters // 5)]})
        if extension == "parquet":
            parquet.write_table(table, path, compression="none", use_dictionary=False)
        else:
            with pa.ipc.new_file(path, table.schema) as file:
                file.write_table(table)
        report = validate_dataset(path, path.name)
        assert report.is_valid is is_valid
    assert "Record 2 is larger than 64 MiB, the most that is read. Split it" in report.errors[0].message


def test_a_folder_is_read_up_to_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (tmp_path / f"{number}.json").write_text(json.dumps({"text": f"text {number}"}))
    assert validate_dataset(tmp_path, "data").is_valid
    for module in (archives, folders):
        monkeypatch.setattr(module, "MOST_FILES", 3)
    assert "more than 3 files, the most that are read" in error_of(tmp_path)


LIMITS: dict[str, tuple[Callable[..., None], ...]] = {
    "one line, one value of a JSON document": (
        test_readers.test_line_longer_than_allowed_is_named_and_passed_over,
        test_a_value_of_a_json_document_is_read_up_to_its_limit,
        test_json_texts.test_json_is_nested_as_deep_by_every_reader_and_can_be_asked_for_by_schema,
    ),
    "Parquet and Arrow": (
        test_hostile_tables.test_a_bomb_takes_neither_memory_nor_the_process,
        test_a_record_of_a_table_is_read_up_to_its_limit,
    ),
    "what is compressed, an archive, a batch of rows": (
        test_archives_and_folders.test_what_unpacks_to_too_much_is_refused_with_the_limit,
        test_hostile_tables.test_a_bomb_takes_neither_memory_nor_the_process,
    ),
    "what a loader gives": (test_any_bytes.test_whatever_a_loader_does_is_answered,),
    "files of a folder or an archive": (
        test_archives_and_folders.test_an_archive_is_refused_before_what_it_describes_takes_memory_or_disk,
        test_archives_and_folders.test_names_that_lead_out_of_an_archive_are_refused,
        test_archives_and_folders.test_links_in_an_archive_are_refused,
        test_a_folder_is_read_up_to_so_many_files,
    ),
    "templates of a mapping": (
        test_mapping.test_templates_make_no_more_of_a_record_than_is_allowed,
        test_mapping.test_templates_make_no_more_of_a_file_than_what_is_packed_may_become,
    ),
    "one record, with a tokenizer": (test_token_checks.test_a_record_that_no_tokenizer_could_take_is_a_fault_of_its_own,),
    "metadata held against a schema": (
        test_schema_checks.test_a_hostile_schema_is_stopped_and_blamed_alone,
        test_schema_checks.test_a_file_has_its_time_and_what_was_not_checked_is_told,
    ),
}  # fmt: skip


def test_each_documented_limit_has_its_test(root: Path) -> None:
    assert keys_of_table(root, "limit") == list(LIMITS)


def test_each_documented_format_and_shape_is_one_of_those_that_are_tested(root: Path) -> None:
    assert keys_of_table(root, "format") == [row.title for row in FORMATS.values()]
    assert keys_of_table(root, "shape, with an example") == list(SHAPES)


PAIRS = [{"prompt": f"question {number}, ñ", "completion": f"answer {number}"} for number in range(3)]
CSV = "prompt,completion\n" + "".join(f'"{row["prompt"]}",{row["completion"]}\n' for row in PAIRS)

DECLARED: dict[str, tuple[str, Any, dict[str, Any], int]] = {
    "format": ("data.bin", CSV, {"format": "csv"}, 3),
    "encoding": ("data.csv", CSV.encode("latin-1"), {"encoding": "latin-1"}, 3),
    "text_unit": ("data.txt", "one\ntwo\nthree\n", {"text_unit": "lines"}, 3),
    "delimiter": ("data.csv", CSV.replace(",", "!"), {"delimiter": "!"}, 3),
    "quote_character": ("data.csv", CSV.replace('"', "~"), {"quote_character": "~"}, 3),
    "escape_character": ("data.csv", CSV.replace("question", '^"question^"'), {"escape_character": "^"}, 3),
    "columns": ("data.csv", CSV.partition("\n")[2], {"columns": ["prompt", "completion"]}, 3),
    "shape": ("data.jsonl", PAIRS, {"shape": "prompt_completion"}, 3),
    "mapping": (
        "data.jsonl",
        [{"q": row["prompt"], "a": row["completion"]} for row in PAIRS],
        {"mapping": {"prompt": "q", "completion": "a"}},
        3,
    ),
    "config": ("repository", {"first.jsonl": PAIRS[:1], "second.jsonl": PAIRS[:2]}, {"config": "second"}, 2),
    "split": ("folder", {"train.jsonl": PAIRS[:1], "test.jsonl": PAIRS[:2]}, {"split": "test"}, 2),
    "loader": ("data.odd", "a=b c=d", {"loader": "documented_loader:pairs"}, 2),
}
CARD = "---\nconfigs:\n- {config_name: default, data_files: first.jsonl}\n- {config_name: second, data_files: second.jsonl}\n---\n"
LOADER = (
    "def pairs(path):\n"
    "    for word in path.read_text().split():\n"
    "        yield dict(zip(('prompt', 'completion'), word.split('='), strict=True))\n"
)


def json_lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(path: Path, content: Any) -> Path:
    """Write bytes, text, records, or a folder of records with a card."""
    if isinstance(content, dict):
        path.mkdir()
        for name, rows in content.items():
            (path / name).write_text(json_lines(rows))
        if path.name == "repository":
            (path / "README.md").write_text(CARD)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json_lines(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("field", DECLARED)
def test_each_documented_field_of_a_declaration_decides_what_is_read(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documented_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    name, content, declared, records = DECLARED[field]
    path = written(tmp_path / name, content)
    report = validate_dataset(path, name, DatasetReading.model_validate(declared))
    assert report.is_valid and report.records == records, report.summary()
    assert report.shape == ("text" if field == "text_unit" else "prompt_completion")
    if field != "shape":
        undeclared = validate_dataset(path, name)
        assert (undeclared.is_valid, undeclared.records) != (True, records), "it would be read so without"


def test_a_shape_that_is_declared_is_the_only_one(tmp_path: Path) -> None:
    path = written(tmp_path / "data.jsonl", PAIRS)
    assert not validate_dataset(path, path.name, DatasetReading(shape="alpaca")).is_valid


def test_each_documented_field_of_a_declaration_is_tested(root: Path) -> None:
    assert keys_of_table(root, "field") == list(DECLARED) == list(DatasetReading.model_fields)
