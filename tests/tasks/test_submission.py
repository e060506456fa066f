"""What people may type into the parameters of a Prefect run."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.errors import InvalidRequestError
from tasks.submission import _given, create_job, retrain_specs


@pytest.mark.parametrize(
    ("organization", "request_", "said"),
    [
        (7, {"job_spec": "nightly"}, "organization is 7; it must be a string"),
        (None, {"job_spec": "nightly"}, "organization is missing; it must be a string"),
        (["default"], {"job_spec": "nightly"}, "organization is ['default']; it must be a string"),
        ("default", "nightly", "request is 'nightly'; it must be an object"),
        ("default", None, "request is missing; it must be an object"),
        (
            "default",
            {"job_spec": ""},
            "job_spec is empty; give the name of a saved job spec, as `afinador list job-spec`",
        ),
    ],
)
def test_a_job_is_made_of_a_name_and_an_object_only(organization: Any, request_: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        create_job.fn(organization, request_, "run-1")
    assert caught.value.message.startswith(said)


def test_what_stays_empty_in_a_form_is_not_given() -> None:
    emptied = {"suffix": "", "seed": None, "priority": 0, "hyperparameters": {"epochs": "", "lora_dropout": 0.0}}
    assert _given(emptied) == {"priority": 0, "hyperparameters": {"lora_dropout": 0.0}}


def test_objects_and_lists_that_stay_empty_are_not_given_either() -> None:
    emptied = {"job_spec": "", "dataset": "train", "validation_reading": {}, "config": {}, "metadata": {}, "tags": []}
    assert _given(emptied) == {"dataset": "train"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ((7, "train.jsonl", 2), "organization is 7; it must be a string."),
        (("default", {"name": "train.jsonl"}, 2), "name is {'name': 'train.jsonl'}; it must be a string."),
        (("default", "train.jsonl", None), "version is missing; it must be a whole number."),
        (("default", "train.jsonl", "two"), "version is 'two'; it must be a whole number."),
        (("default", "train.jsonl", "١"), "version is '١'; it must be a whole number."),
        (("default", "train.jsonl", True), "version is true; it must be a whole number."),
    ],
)
def test_specs_are_started_for_a_version_of_a_named_file_only(parameters: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        retrain_specs.fn(*parameters)
    assert caught.value.message == said
