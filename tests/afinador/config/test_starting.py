"""What must be the same where a training goes on."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import DataFile, StartingPoint
from afinador.config.starting import FileReading, Recipe, Start
from afinador.errors import InvalidRequestError
from afinador.schemas.datasets import DatasetReading


def data_file(**fields: Any) -> DataFile:
    return DataFile(**{"name": "a.csv", "path": "a.csv", "format": "csv", "sha256": "1", "bytes": 1} | fields)


def start(state: str, **recipe: Any) -> Start:
    point = StartingPoint(name="c", job_id="j", step=1, path="c", manifest_sha256="2", bytes=1, state=state)
    document = {
        "base_model": "tiny",
        "base_model_sha256": "3",
        "training_file": "a.csv",
        "training_file_sha256": "1",
        "validation_file": None,
        "validation_file_sha256": None,
        "tuning_method": "lora",
        "task": "causal_lm",
        "seed": 1,
        "hyperparameters": Hyperparameters(),
    }
    return Start(point, Recipe.model_validate(document | recipe))


@pytest.mark.parametrize("now", [{"format": "text"}, {"reading": DatasetReading(delimiter=";")}])
def test_the_same_bytes_read_otherwise_are_other_data(now: dict[str, Any]) -> None:
    had = {"training_reading": FileReading.of(data_file()), "validation_reading": FileReading()}
    for same in (DatasetReading(), DatasetReading(format="csv")):
        start("whole", **had).require_data(data_file(reading=same), None)
    start("weights", **had).require_data(data_file(**now), None)
    with pytest.raises(InvalidRequestError, match="has the same content as there, but is read as") as caught:
        start("whole", **had).require_data(data_file(**now), None)
    assert (caught.value.code, caught.value.param) == ("checkpoint_does_not_fit", "training_file")


def test_a_recipe_keeps_how_data_are_read_and_one_of_an_older_version_says_nothing_of_it() -> None:
    declared = FileReading.of(data_file(reading=DatasetReading(columns=["text", "label"])))
    kept = Recipe.model_validate_json(start("whole", training_reading=declared).recipe.model_dump_json())
    assert kept.training_reading == declared
    start("whole").require_data(data_file(reading=DatasetReading(delimiter=";")), None)


def test_a_format_that_was_declared_is_the_one_that_was_found() -> None:
    declared = DatasetReading(format="csv", delimiter=";")
    had = FileReading.of(data_file(reading=declared))
    assert had == FileReading.of(data_file(reading=DatasetReading(delimiter=";")))
    assert str(had) == "csv, delimiter ';'"
    kept = FileReading.model_validate({"format": "csv", "declared": declared.to_json()})
    assert kept == had, "as checkpoints have it that were made before"
