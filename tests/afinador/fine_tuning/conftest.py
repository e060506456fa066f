"""A working directory with raw data and a base model, and a fine-tuner that prepares data sets in it."""

from __future__ import annotations

import asyncio
import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.fine_tuning.model_fine_tuner import ModelFineTuner
from afinador.settings import read_settings

Prepare = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with raw data, and a tiny Llama that has the name llama-7b below a root."""
    shutil.copytree(root / "examples" / "base_model" / "model", tmp_path / "roots" / "llama-7b")
    monkeypatch.setenv("AFINADOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AFINADOR_MODEL_ROOTS", str(tmp_path / "roots"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    (tmp_path / "work" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    with Path("data/raw_dataset.csv").open("w", newline="") as stream:
        rows = [("text", "label"), ("A", "B"), *((f"Order NUMBER {n}", f"Item {n}") for n in range(20))]
        csv.writer(stream).writerows(rows)
    return tmp_path / "work"


@pytest.fixture
def prepare(work: Path) -> Prepare:
    def run(*arguments: Any, **named: Any) -> str:
        fine_tuner = ModelFineTuner(read_settings())
        return asyncio.run(fine_tuner.prepare_dataset(*arguments, **named))

    return run
