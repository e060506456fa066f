"""What the API says of itself: a meaning for everything, and a job's body as the API takes and refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import jsonschema
import pytest

from afinador.config.resolve import parse_request, resolve_request, resolve_task
from afinador.errors import AfinadorError, InvalidRequestError
from afinador.schemas.jobs import Task, TrainedTask, TuningMethod
from api.openapi_description import METHODS, split_docstring


@pytest.fixture(scope="module")
def document(running: Any) -> dict[str, Any]:
    with running.http(None) as client:
        return dict(client.get("/openapi.json").json())


@pytest.fixture(scope="module")
def schema(document: dict[str, Any]) -> dict[str, Any]:
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


def fields_of(place: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields of an object, and of those inside, with what is said of each; constants say themselves."""
    meanings = split_docstring(schema.get("description", ""))[1]
    for name, field in schema.get("properties", {}).items():
        if "const" not in field:
            yield f"{place}.{name}", meanings.get(name) or field.get("description", "")
        for each in (field, *field.get("anyOf", [])):
            yield from fields_of(f"{place}.{name}", each.get("items", each))


def test_every_field_and_parameter_has_a_meaning(document: dict[str, Any]) -> None:
    said: dict[str, str] = {}
    for path, operations in document["paths"].items():
        for method, operation in ((name, operations[name]) for name in METHODS if name in operations):
            for parameter in operation.get("parameters", []):
                said[f"{method} {path} {parameter['name']}"] = parameter.get("description", "")
            for content in operation.get("requestBody", {}).get("content", {}).values():
                said.update(fields_of(f"{method} {path}", content["schema"]))
    for name, schema in document["components"]["schemas"].items():
        said.update(fields_of(name, schema) if not name.startswith("Page_") else ())
    assert len(said) > 200
    assert [name for name, meaning in said.items() if not meaning] == []


@pytest.mark.parametrize(("field", "words"), [("tuning_method", get_args(TuningMethod)), ("task", get_args(Task))])
def test_the_description_says_which_words_are_refused_today(
    field: str, words: tuple[str, ...], schema: dict[str, Any]
) -> None:
    refused = set(words) - {"full", "lora", "qlora", *get_args(TrainedTask)}
    meaning = schema["properties"][field]["description"]
    assert {word for word in words if f"`{word}`" in meaning.partition(".")[2]} == refused != set()
    assert "refused" in meaning
    for word in refused:
        request = parse_request({"model": "m", "training_file": "t", field: word})
        with pytest.raises(AfinadorError, match=word):
            resolve_task(request, "LlamaForCausalLM") if field == "task" else resolve_request(request)
