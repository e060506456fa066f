"""A preparation that was done already: what is returned without doing it again, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import InvalidRequestError
from afinador.fine_tuning import DatasetFormat

Prepare = Callable[..., str]

LOWER = {"type": "transform", "operation": "lowercase"}
SPLIT = {"type": "split", "validation": 0.5}


def test_the_same_preparation_is_done_once(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare("data/raw_dataset.csv", "csv", "jsonl", [SPLIT])
    assert made.endswith("-train.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr("afinador.fine_tuning.model_fine_tuner.run_to_file", None)
        for steps in ([SPLIT], (SPLIT,)):
            assert prepare("data/raw_dataset.csv", "csv", "jsonl", steps) == made
    assert prepare("data/raw_dataset.csv", "csv", "jsonl", [SPLIT], overwrite=True) == made
    assert prepare("data/raw_dataset.csv", DatasetFormat.CSV, DatasetFormat.JSONL, [SPLIT]) == made


def _change_source() -> None:
    with Path("data/raw_dataset.csv").open("a") as source:
        source.write("one,more\n")


def _change_result() -> None:
    Path("data/raw_dataset-prepared.jsonl").write_text('{"text": "by hand"}\n')


def _break_lineage() -> None:
    Path("data/raw_dataset-prepared.jsonl.lineage.json").write_text("[]")


@pytest.mark.parametrize(
    ("meanwhile", "given"),
    [
        (_change_source, {}),
        (_change_result, {}),
        (_break_lineage, {}),
        (lambda: Path("data/raw_dataset-prepared.jsonl").unlink(), {}),
        (lambda: Path("data/raw_dataset-prepared.jsonl.lineage.json").unlink(), {}),
        (lambda: None, {"preprocessing_steps": [LOWER]}),
        (lambda: None, {"dataset_format": "text"}),
        (lambda: None, {"base_model": "llama-7b"}),
        (lambda: None, {"dataset_format": "custom", "loader": lambda path: [{"text": "a"}]}),
    ],
)
def test_what_is_not_of_the_same_preparation_stays_and_is_an_error(
    prepare: Prepare, meanwhile: Callable[[], object], given: dict[str, Any]
) -> None:
    asked = {"dataset_path": "data/raw_dataset.csv", "dataset_format": "csv"}
    prepare(**asked)
    meanwhile()
    before = {path.name: path.read_bytes() for path in Path("data").iterdir()}
    with pytest.raises(InvalidRequestError, match="already, and nothing is written over"):
        prepare(**{**asked, **given})
    assert {path.name: path.read_bytes() for path in Path("data").iterdir()} == before
