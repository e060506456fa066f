"""A preparation by several processes makes what one makes, to the byte, whatever happens to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afinador.data import processes
from afinador.data.files.lines import Part, parts_of
from afinador.data.preparation import Means, Pipeline, Source, passage, patterns, prepare_file, running
from afinador.data.preparation.leading import MOST_BYTES, Leading
from afinador.data.preparation.passage import Passage
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading

ROW_STEPS: list[dict[str, Any]] = [
    {"type": "transform", "operation": "collapse_spaces"},
    {"type": "filter", "condition": "words >= 3 and not (text matches 'number 7$')"},
    {"type": "transform", "operation": "replace", "pattern": "[0-9]+", "replacement": "<\\g<0>>", "field": "text"},
    {"type": "remove", "fields": ["id"]},
    {"type": "rename", "fields": {"text": "prompt", "label": "completion"}},
    {"type": "convert", "to": "messages"},
]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, others_do_the_work: None) -> list[subprocess.Popen[bytes]]:
    """The processes that are started meanwhile, each of which forks another; every file is worth two."""
    really_start, started = subprocess.Popen, []

    def start(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(really_start(*given, **more))
        return started[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    monkeypatch.setattr(passage, "processors", lambda: 2)
    monkeypatch.setattr(passage, "BYTES_WORTH_A_START", 1)
    monkeypatch.setattr(passage, "PART_BYTES", 1500)
    monkeypatch.setattr(passage, "BATCH_BYTES", 1500)
    return started


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty parts, with a byte order mark, blank lines, and a record that takes what orjson does not."""
    path = tmp_path / "rows.jsonl"
    path.write_text("\ufeff" + "".join(lines()))
    return path


def lines() -> Iterator[str]:
    for number in range(1, 901):
        text = f"  the  number {number % 500}" if number % 9 else "short"
        row = {"text": text, "label": "ñ" if number % 2 else "even", "id": 10**25 if number == 333 else number}
        yield json.dumps(row, ensure_ascii=number % 3 == 0) + ("\n\n" if number % 50 == 0 else "\n")


def made(source: Path, steps: list[dict[str, Any]], name: str, **options: Any) -> tuple[dict[str, bytes], Any]:
    """What a preparation writes, by name, and what it tells."""
    folder = source.parent / f"made-{options.get('processes')}-{name}"
    folder.mkdir()
    told = prepare_file(source, steps, target=folder / name, **options).to_json()
    return {path.name: path.read_bytes() for path in folder.iterdir()}, told["steps"]


def test_several_processes_write_the_same_also_when_one_is_killed(
    rows: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    told: list[tuple[str, int]] = []

    def kill_the_first(stage: str, done: int) -> None:
        if (stage, done) == ("writing", 100):
            os.kill(started[0].pid, signal.SIGKILL)
        told.append((stage, done))

    alone, steps = made(rows, ROW_STEPS, "made.jsonl", processes=1)
    assert not started and steps[1]["rows_out"] == 798 and steps[1]["rows_in"] == 900
    shared, shared_steps = made(rows, ROW_STEPS, "made.jsonl", progress=kill_the_first)
    assert [process.wait() for process in started] == [-signal.SIGKILL]
    assert shared_steps == steps
    assert shared.keys() == alone.keys() == {"made.jsonl", "made.jsonl.lineage.json"}
    assert shared["made.jsonl"] == alone["made.jsonl"]
    assert shared["made.jsonl.lineage.json"] == alone["made.jsonl.lineage.json"].replace(b"made-1-", b"made-None-")
    reading = [done for stage, done in told if stage == "reading"]
    assert reading == sorted(reading) and len(reading) > 20 and ("writing", 700) in told


def test_steps_that_follow_see_the_rows_in_their_order(rows: Path, started: list[subprocess.Popen[bytes]]) -> None:
    steps = [
        *ROW_STEPS[:4],
        {"type": "deduplicate"},
        {"type": "filter", "condition": "tokens() > 3"},
        {"type": "shuffle", "seed": 3},
        {"type": "split", "validation": 0.2, "stratify": "label"},
        {"type": "augment", "field": "text", "only": "train"},
        {"type": "transform", "operation": "uppercase", "only": "validation"},
    ]
    means = Means(count_tokens=lambda texts: sum(len(text.split()) for text in texts))
    assert len(Pipeline(steps, means).leading) == 4
    alone, told = made(rows, steps, "made.csv", means=means, processes=1)
    shared, shared_told = made(rows, steps, "made.csv", means=means)
    assert [process.wait() for process in started] == [0]
    assert shared_told == told and told[4]["rows_out"] < told[4]["rows_in"] == 798
    for name in ("made-train.csv", "made-validation.csv"):
        assert shared[name] == alone[name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"text": "one two three", "label": 1, "id": 1} x', "Line 429 goes on after its JSON object"),
        # Which takes so long that the errors behind it are met before.
        (json.dumps({"text": "1 " * 100_000, "id": 1}), "Line 429 has no field 'label'"),
    ],
)
@pytest.mark.parametrize("looks_for_others", [False, True])
def test_the_first_error_is_that_of_one_process(
    text: str,
    said: str,
    looks_for_others: bool,
    rows: Path,
    started: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not looks_for_others:  # which reads all once more, by one process
        monkeypatch.setattr(running, "require_faultless", lambda *_: None)
    said = f"rows.jsonl: {'401 of 821 records cannot be prepared: ' if looks_for_others else ''}{said}"
    rows.write_text("".join([*list(lines())[:420], text + "\n", *["{\n"] * 400]))
    errors = []
    for several in (1, 2):
        with pytest.raises(DataError) as refused:
            made(rows, ROW_STEPS, "made.jsonl", processes=several)
        errors.append((refused.value.message, refused.value.problems))
    assert errors[0] == errors[1] and errors[0][0].startswith(said)
    assert not [*rows.parent.glob("made-*/*")]
    assert all(process.poll() is not None for process in started) and len(started) == 1


def test_time_of_patterns_is_that_of_all_processes_together(
    rows: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "SECONDS_PER_STEP", 0.0)
    for several in (1, 2):
        with pytest.raises(DataError, match=r"Step 2 \(filter\).* took longer than 0 s on all texts up to line 1\."):
            made(rows, ROW_STEPS, "made.jsonl", processes=several)


def test_what_becomes_too_large_is_left_to_who_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n' + json.dumps({"text": "x" * 2**20}) + "\n")
    small, whole = Part(0, 14, 1), next(parts_of(path, path.stat().st_size))
    long = {"type": "transform", "operation": "template", "field": "text", "template": "{text}" * 9}
    for makes_lines in (True, False):
        leading = Leading(path, path.name, [long], makes_lines)
        assert len(leading(small).made or ()) == 1 and leading(whole).made is None
        assert leading(Part(0, MOST_BYTES + 1, 1)).made is None
    half = {"type": "transform", "operation": "replace", "field": "text", "pattern": "a", "replacement": "\ud800"}
    assert Leading(path, path.name, [half], makes_lines=True)(small).made is None


def test_no_more_is_read_than_is_worked_on(
    rows: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Part] = []

    def watched(path: Path, size: int) -> Iterator[Part]:
        for part in parts_of(path, size):
            asked.append(part)
            yield part

    monkeypatch.setattr(passage, "parts_of", watched)
    with Passage(Source(rows, "jsonl"), rows.name, Pipeline(ROW_STEPS)) as way:
        assert b"number <1>" in next(way.lines())
        assert len(asked) <= 8
        assert all(process.poll() is None for process in started)
    assert [process.poll() for process in started] == [0]


def test_what_is_small_or_light_starts_no_process(
    rows: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"type": "remove", "fields": ["id"]}]

    def processes_of(**options: Any) -> int:
        started.clear()
        prepare_file(rows, steps, target=rows.parent / "made.jsonl", overwrite=True, **options)
        return len(started)

    mapping = DatasetReading.model_validate({"mapping": {"text": "text"}})
    assert processes_of(reading=mapping) == 0
    monkeypatch.setattr(passage, "BYTES_WORTH_A_START", rows.stat().st_size + 1)
    assert processes_of() == 0
    custom = Passage(Source(rows, "custom"), rows.name, Pipeline(ROW_STEPS), 2)
    with pytest.raises(DataError, match="A custom data set needs a loader"):
        next(custom.lines())
    assert not started


def test_what_has_no_lines_of_its_own_is_handed_over(rows: Path, started: list[subprocess.Popen[bytes]]) -> None:
    source = rows.with_name("rows.csv")
    prepare_file(rows, [{"type": "remove", "fields": ["id"]}], target=source, processes=1)
    alone, steps = made(source, ROW_STEPS[:3], "made.jsonl", processes=1)
    shared, shared_steps = made(source, ROW_STEPS[:3], "made.jsonl")
    assert len(started) == 1 and shared_steps == steps and shared["made.jsonl"] == alone["made.jsonl"]
    bad = {"type": "filter", "condition": "text != 'the number 444' or id > 3"}
    for several in (1, 2):
        with pytest.raises(DataError, match="Line 445 has no field 'id'"):
            made(source, [ROW_STEPS[0], bad], "other.jsonl", processes=several)


def test_lines_are_not_parted_where_an_object_takes_several(rows: Path) -> None:
    assert Source(rows, "jsonl").has_lines()
    rows.write_text("{\n}\n")
    assert not Source(rows, "jsonl").has_lines()


def test_a_share_of_the_processors_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8))
    for share, expected in (("1", 1), ("3", 3), ("", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", share)
        assert processes.processors() == expected


@pytest.mark.usefixtures("others_do_the_work")
def test_who_waits_is_called_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_SECONDS_TO_WAIT", 0.02)
    called: list[None] = []
    assert list(processes.in_order(time.sleep, [0.1, 0.0], 2, waiting=lambda: called.append(None))) == [
        (0.1, None),
        (0.0, None),
    ]
    assert len(called) > 3


@pytest.mark.usefixtures("others_do_the_work")
def test_errors_are_met_in_the_order_of_the_parts() -> None:
    takes_longer = "[" + "1," * 1_000_000 + "x"
    with pytest.raises(json.JSONDecodeError) as met:
        list(processes.in_order(json.loads, [takes_longer, "x"], 2))
    assert met.value.pos == 2_000_001
