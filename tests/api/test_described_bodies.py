"""The description of a job's body, held against bodies that the API takes and refuses."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from afinador.config.resolve import parse_request
from afinador.errors import InvalidRequestError


@pytest.fixture(scope="module")
def schema(running: Any) -> dict[str, Any]:
    with running.http(None) as client:
        document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/fine_tuning/jobs"]["post"]["requestBody"]
    return dict(body["content"]["application/json"]["schema"])


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "training_file": "t", "validation_file": "v", "hyperparameters": {"n_epochs": "auto"}},
        {"base_model": "m", "dataset": "t", "output_model": "o"},
        {"base_model": "m", "training_file": "t", "validation_dataset": "v", "name": "n"},
    ],
)
def test_bodies_of_openai_and_of_the_specification_are_described(body: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(body, schema)
    assert parse_request(body).training_file == "t"


@pytest.mark.parametrize("body", [{"dataset": "t"}, {"base_model": "m"}, {"model": "m", "dataset": "t", "datasets": 1}])
def test_bodies_that_are_refused_are_not_described(body: dict[str, Any], schema: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, schema)
    with pytest.raises(InvalidRequestError):
        parse_request(body)
