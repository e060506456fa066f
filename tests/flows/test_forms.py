"""The form that the Prefect UI draws, and the requests that the API takes, are one."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import get_call_parameters, parameter_schema, parameters_to_args_kwargs
from prefect.utilities.schema_tools.validation import validate

from afinador.config.hyperparameters import METHODS_TODAY, Hyperparameters
from afinador.config.resolve import parse_request, resolve_request
from afinador.schemas.jobs import JobRequest
from deployments.apply import form_of
from flows import forms
from flows.submission import retrain, submit_fine_tune

OTHER_NAMES = {"base_model": "model", "dataset": "training_file", "validation_dataset": "validation_file"}


def test_every_field_of_the_form_is_a_field_of_a_request() -> None:
    names = {OTHER_NAMES.get(name, name) for name in forms.JobForm.model_fields}
    assert names <= JobRequest.model_fields.keys()
    assert forms.Hyperparameters.model_fields.keys() <= Hyperparameters.model_fields.keys()


def test_a_form_filled_in_with_its_own_types_is_a_good_request() -> None:
    numbers = forms.Hyperparameters(
        epochs=1, learning_rate=1e-4, batch_size=8, lora_rank=8, lora_alpha=16.0, lora_dropout=0.0
    )
    form = forms.JobForm(base_model="tiny", dataset="train", tuning_method="lora", hyperparameters=numbers, pool="cpu")
    resolve_request(parse_request(form.model_dump(exclude_none=True)))


def test_what_may_stay_empty_has_a_description_and_no_null() -> None:
    definitions = parameter_schema(submit_fine_tune).model_dump()["definitions"]
    assert definitions.keys() == {"SavedSpec", "JobForm", "Hyperparameters"}
    for definition in definitions.values():
        for name, field in definition["properties"].items():
            assert field["description"], name
            assert "default" not in field and field.get("anyOf", [{}])[0].get("type") != "null", name
    assert definitions["JobForm"]["properties"]["tuning_method"]["enum"] == list(METHODS_TODAY)
    assert "default: 3" in definitions["Hyperparameters"]["properties"]["epochs"]["description"]


@pytest.mark.parametrize(
    "request_",
    [
        {"job_spec": "nightly"},
        {"from_checkpoint": "ftckpt_1"},
        {"base_model": "tiny", "dataset": "train", "hyperparameters": {"batch_size": "auto"}},
        {"base_model": "tiny", "dataset": "train", "hyperparameters": {"batch_size": None}},
        {
            "base_model": "tiny",
            "dataset": "train",
            "suffix": "",
            "from_checkpoint": "",
            "hyperparameters": {"epochs": 1},
        },
    ],
)
def test_prefect_takes_what_the_form_describes(request_: dict[str, Any]) -> None:
    assert not validate({"organization": "default", "request": request_}, form_of(submit_fine_tune))
    wrong = request_ | {"hyperparameters": {"batch_size": "automatic"}}
    assert validate({"organization": "default", "request": wrong}, form_of(submit_fine_tune))


@pytest.mark.parametrize("started", [submit_fine_tune, retrain])
def test_a_run_without_its_parameters_begins_so_that_it_can_say_what_is_missing(started: Flow[..., Any]) -> None:
    assert parameters_to_args_kwargs(started.fn, get_call_parameters(started.fn, (), {}, apply_defaults=True))
    asked = form_of(started)
    assert asked["required"] == list(asked["properties"])
    assert all("default" not in parameter for parameter in asked["properties"].values())
