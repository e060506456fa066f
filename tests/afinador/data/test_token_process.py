"""The process that knows tokenizers: warm, one at a time, started again, and gone when nobody needs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from pyarrow import parquet

from afinador.data.dataset_reports import reading_of
from afinador.data.preparation import Pipeline, prepare, run_to_file
from afinador.data.records import Record
from afinador.data.shapes import shape_of, to_example
from afinador.data.tokens import process as token_process
from afinador.data.tokens.process import TokenProcess
from afinador.data.tokens.tokenisation import tokenise_all
from afinador.data.tokens.tokenizer_files import load_tokenizer
from afinador.data.validation import validate_dataset
from afinador.errors import DataError, ModelError, ServiceUnavailableError
from afinador.models.preparation_tokens import means_of_base_model
from afinador.models.tokenizer_folders import tokenizer_folder

LIMITS = {"task": "causal_lm", "max_length": 100}


@pytest.fixture(scope="module")
def process():
    with TokenProcess() as started:
        yield started


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "examples" / "base_model" / "model"


@pytest.fixture
def data(tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "few.jsonl"
    path.write_text(json.dumps({"prompt": "q", "completion": "a"}) + "\n")
    return reading_of(path, validate_dataset(path, path.name).to_json())


def test_it_needs_neither_weights_nor_torch_and_runs_no_foreign_code(process, folder, data, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, alone)
    assert process.check(alone, data, LIMITS)["tokens"]["records"] == 1
    libraries = {mapped.path for mapped in psutil.Process(process._process.pid).memory_maps()}
    assert any("tokenizers" in path for path in libraries) and not any("libtorch" in path for path in libraries)
    config = json.loads((alone / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    (alone / "tokenizer_config.json").write_text(json.dumps(config))
    (alone / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    try:
        process.check(alone, data, LIMITS)
    except ModelError as error:
        assert str(alone) in error.message
    assert not (tmp_path / "ran").exists()


def test_errors_come_through_as_they_are_and_the_process_stays(process, data, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    process.start()
    before = process._process.pid
    with pytest.raises(ModelError, match="cannot be read"):
        process.check(tmp_path, data, LIMITS)
    assert process._process.pid == before


def test_what_does_not_fit_its_schema_is_left_out_of_a_preview_and_of_what_is_counted(process, folder, tmp_path):
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    records = [{"document": f"d{n}", "metadata": {"year": n if n % 3 else "x"}, "schema": schema} for n in range(1, 10)]
    records[3]["schema"] = {"$schema": "https://example.org/mine"}  # a doubt, no fault
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    verdict = validate_dataset(path, path.name)
    assert verdict.refused == 3
    data = reading_of(path, verdict.to_json())
    shown = process.preview(folder, data, LIMITS, records=3)
    assert [each["line"] for each in shown["records"]] == [1, 2, 4] and shown["unusable_records"] == 1
    shown = process.preview(folder, data, LIMITS, records=20)
    assert [each["line"] for each in shown["records"]] == [1, 2, 4, 5, 7, 8] and shown["unusable_records"] == 3
    assert process.check(folder, data, LIMITS)["tokens"]["records"] == 6


def test_a_preview_says_where_a_record_of_an_archive_is(process, folder, tmp_path):
    path = tmp_path / "letters.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2):
            archive.writestr(f"letters/{number}.json", json.dumps({"prompt": f"q{number}", "completion": "a"}))
    data = reading_of(path, validate_dataset(path, path.name).to_json())
    shown = process.preview(folder, data, LIMITS, records=2)["records"]
    assert [each["place"].endswith(f"{number}.json, record 1)") for number, each in enumerate(shown)] == [True, True]
    assert shown[1]["place"].startswith("Record 2 (")


def test_a_process_that_was_killed_is_started_again(process, folder, data):
    process.check(folder, data, LIMITS)
    before = process._process.pid
    os.kill(before, signal.SIGKILL)
    assert process.preview(folder, data, LIMITS, records=1)["records"][0]["line"] == 1
    assert process._process.pid != before


def test_an_answer_that_takes_too_long_ends_the_process(process, folder, data, monkeypatch):
    process.start()
    running = process._process
    monkeypatch.setattr(process, "_timeout_seconds", 0.0)
    with pytest.raises(ServiceUnavailableError, match="longer than 0 s"):
        process.check(folder, data, LIMITS)
    assert running.poll() is not None


def test_too_many_at_once_are_refused(monkeypatch, folder, data):
    monkeypatch.setattr(token_process, "MOST_WAITING", 1)
    crowded = TokenProcess()
    crowded._room.acquire()
    with pytest.raises(ServiceUnavailableError, match="wait for a tokenizer already"):
        crowded.check(folder, data, LIMITS)


def test_who_waits_too_long_for_others_is_told_so(folder, data):
    busy = TokenProcess(waiting_seconds=0.01)
    with busy._asking, pytest.raises(ServiceUnavailableError, match="kept the tokenizer busy for 0 s"):
        busy.check(folder, data, LIMITS)
    assert busy._process is None and busy._room.acquire(blocking=False)


def test_it_ends_with_its_parent(tmp_path):
    script = (
        "import os, sys, time\nfrom afinador.data.tokens.process import TokenProcess\n"
        "process = TokenProcess(); process.start(); print(process._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_steps_count_and_make_the_tokens_that_training_has(process, folder, tmp_path):
    rows = [
        {"prompt": "one two", "completion": "three", "id": 7},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "there " * 30}]},
        {"text": "long " * 40},
    ]
    tokenizer = load_tokenizer(folder)
    examples = [to_example(Record(1, row), shape_of(row)) for row in rows]
    expected = list(tokenise_all(examples, tokenizer, 24))
    pipeline = Pipeline(
        [{"type": "tokenize", "max_length": 24}], means_of_base_model(tokenizer_folder(folder), process)
    )
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    made = run_to_file(found, "rows", pipeline, tmp_path / "made.parquet", "parquet")
    table = parquet.read_table(tmp_path / "made.parquet").to_pylist()
    assert [(row["input_ids"], row["labels"]) for row in table] == [(e.input_ids, e.labels) for e in expected]
    assert all(row["length"] == len(row["input_ids"]) == sum(row["attention_mask"]) for row in table)
    assert (made.steps[0].rows_in, made.steps[0].rows_out, made.steps[0].changed) == (3, len(expected), len(expected))
    assert made.steps[0].counts == {"tokens": sum(len(e.input_ids) for e in expected), "cut": 1}
    report = validate_dataset(tmp_path / "made.parquet", "made.parquet")
    assert "jobs take the records that they were made of" in report.summary()


def test_conditions_count_tokens_and_classifiers_get_their_labels(process, folder):
    means = means_of_base_model(tokenizer_folder(folder), process)
    rows = [{"text": "word " * number, "label": "even" if number % 2 == 0 else "odd"} for number in range(1, 9)]
    tokenizer = load_tokenizer(folder)
    long = [row for row in rows if len(tokenizer(row["text"], add_special_tokens=False)["input_ids"]) > 10]
    steps = [
        {"type": "filter", "condition": "tokens(text) > 10"},
        {"type": "tokenize", "task": "sequence_classification"},
    ]
    made = list(prepare([Record(1, row) for row in rows], "rows", steps, means))
    assert 0 < len(long) < 8 and [row.fields["label"] for row in made] == [row["label"] for row in long]
    assert [row.fields["input_ids"] for row in made] == [tokenizer(row["text"])["input_ids"] for row in long]
    with pytest.raises(DataError, match="tokens are made of 'text' and 'label'"):
        list(prepare([Record(1, {"text": "a"})], "rows", steps[1:], means))


def test_fields_that_the_schema_of_a_job_does_not_ask_for_are_told_by_line(process, folder, tmp_path):
    path = tmp_path / "papers.jsonl"
    rows = [{"document": "d", "metadata": {"title": "t", "year": number}} for number in range(3)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = validate_dataset(path, path.name).to_json()
    for schema, told in (({"title": ""}, 3), ({"title": "", "year": ""}, 0)):
        asked = {"mode": "schema", "prompts": {}, "schema": schema}
        found = process.check(folder, reading_of(path, report, None, asked), LIMITS)
        assert found["counts"].get("unasked_fields", 0) == told
        shown = process.preview(folder, reading_of(path, report, None, asked), LIMITS, records=1)["records"][0]
        assert any(
            "which the extraction_schema of the job does not ask for" in doubt for doubt in shown["doubts"]
        ) == bool(told)
    assert "unasked_fields" not in process.check(folder, reading_of(path, report), LIMITS)["counts"]
