"""What people read when a run ended badly."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import UnsupportedModelError
from afinador.training import deaths
from afinador.training.failures import told
from afinador.training.job_file import LOCAL
from afinador.training.journals import append_row, now_ms
from afinador.training.run_dir import RunDir

RUN_FOLDER = Path("/srv/home/runs/ftjob-1")


def test_of_a_services_job_names_are_told_and_no_folders(make_spec: Any) -> None:
    base = make_spec().base_model.model_copy(update={"name": "tiny", "path": "/srv/models/tiny"})
    spec = make_spec().model_copy(update={"base_model": base})
    refused = UnsupportedModelError("config.json in /srv/models/tiny names no architecture.")
    assert told(refused, spec, RUN_FOLDER).message == "config.json in 'tiny' names no architecture."
    unforeseen = told(RuntimeError("no tensor in /srv/models/tiny/model.safetensors"), spec, RUN_FOLDER)
    assert "no tensor in model.safetensors" in unforeseen.message
    full = told(OSError(errno.ENOSPC, "No space", str(RUN_FOLDER / "final" / "model.safetensors")), spec, RUN_FOLDER)
    assert full.message.startswith("The disk is full: final/model.safetensors.")


def test_of_a_run_on_ones_own_machine_folders_are_told(make_spec: Any) -> None:
    spec = make_spec().model_copy(update={"job_id": LOCAL})
    refused = UnsupportedModelError(f"config.json in {spec.base_model.path} names no architecture.")
    assert spec.base_model.path in told(refused, spec, RUN_FOLDER).message


@pytest.mark.parametrize(
    ("number", "free_gigabytes", "age_seconds", "kills", "has_remedy", "words"),
    [
        (9, 22, 3, 0, False, "22.0 GB of the machine's 25.0 GB were free shortly before."),
        (9, 1, 3, 0, True, "1.0 GB of the machine's 25.0 GB were free shortly before."),
        (9, 22, 3, 1, True, "signal 9: the machine ran out of memory"),
        (9, 22, 600, 0, True, "not recorded shortly before. If it ran out: try"),
        (11, 1, 3, 1, False, "signal 11 (Segmentation fault)"),
    ],
)
def test_a_signal_is_blamed_on_memory_only_by_what_was_recorded(
    number: int,
    free_gigabytes: int,
    age_seconds: int,
    kills: int,
    has_remedy: bool,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for free, age in ((24, age_seconds + 5), (free_gigabytes, age_seconds)):
        row = {"host_memory_bytes": 25 * 10**9, "host_memory_available_bytes": free * 10**9}
        append_row(tmp_path / "resources.jsonl", {**row, "timestamp_ms": now_ms() - age * 1000})
    counters = tmp_path / "vmstat"
    monkeypatch.setattr(deaths, "_KERNEL_COUNTERS", counters)
    before = deaths.kills_for_memory()
    counters.write_text(f"nr_free_pages 5\noom_kill {kills}\n")
    said = deaths.ended_by_signal(RunDir(tmp_path), number, before)
    assert words in said and ("smaller micro_batch_size" in said) == has_remedy
