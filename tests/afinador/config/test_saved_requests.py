"""A saved request, and what is given beside it."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.config.resolve import parse_request, resolve_request
from afinador.config.saved_requests import with_changes
from afinador.errors import InvalidRequestError, UnknownFieldError

SAVED = {"model": "tiny", "training_file": "orders", "output_model": "bot"}


def joined(saved: dict[str, Any], **given: Any) -> Any:
    return with_changes(parse_request(SAVED | saved), parse_request({"job_spec": "nightly", **given}, is_whole=False))


def test_what_is_given_wins_under_either_name_and_the_rest_stays() -> None:
    request = joined({"tags": ["a"], "metadata": {"x": "1", "y": "1"}}, base_model="own", metadata={"y": "2"}, tags=[])
    assert (request.model, request.training_file, request.output_model) == ("own", "orders", "bot")
    assert request.metadata == {"x": "1", "y": "2"} and request.tags == [] and request.job_spec is None


@pytest.mark.parametrize(
    ("saved", "given"),
    [
        ({"hyperparameters": {"n_epochs": 2}}, {"hyperparameters": {"epochs": 5}}),
        ({"config": {"epochs": 2, "warmup_steps": 7}}, {"hyperparameters": {"epochs": 5, "warmup_steps": 7}}),
        ({"hyperparameters": {"epochs": 2}}, {"config": {"hyperparameters": {"n_epochs": 5}}}),
        ({"hyperparameters": {"epochs": 2}}, {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 5}}}}),
        ({"method": {"supervised": {"hyperparameters": {"n_epochs": 2}}}}, {"hyperparameters": {"epochs": 5}}),
        ({"hyperparameters": {"learning_rate_multiplier": 2, "epochs": 5}}, {"hyperparameters": {"learning_rate": 1e-4}}),
        ({"config": {"learning_rate": 1e-4, "epochs": 5}}, {"hyperparameters": {"learning_rate_multiplier": 2}}),
        ({"hyperparameters": {"epochs": 5, "learning_rate": 1e-3}}, {"config": {"learning_rate": 1e-4}}),
        ({"hyperparameters": {"epochs": 5, "warmup_steps": 7}}, {"hyperparameters": {"warmup_ratio": 0.1}}),
    ],
)  # fmt: skip
def test_hyperparameters_are_joined_wherever_they_stand(saved: dict[str, Any], given: dict[str, Any]) -> None:
    _, values, _ = resolve_request(joined(saved, **given))
    assert values.epochs == 5
    if "warmup_ratio" in str(given):
        assert (values.warmup_steps, values.warmup_ratio) == (0, 0.1)
    if "learning_rate" in str((saved, given)):
        assert values.learning_rate == pytest.approx(1e-4)


def test_a_part_that_is_held_out_is_one_of_the_file_that_is_trained_on() -> None:
    saved = {"training_file": "hf://acme/qa", "validation_reading": {"split": "test"}}
    assert joined(saved).validation_file == "hf://acme/qa"
    assert joined(saved, dataset="hf://acme/other").validation_file == "hf://acme/other"
    assert joined({"validation_file": "held-out"}, dataset="other").validation_file == "held-out"


def test_fields_that_may_stand_in_the_configuration_win_from_there() -> None:
    request = joined({"tuning_method": "full", "seed": 1}, config={"tuning_method": "lora", "seed": 2})
    assert (request.tuning_method, request.seed) == ("lora", 2)
    assert joined({"config": {"tuning_method": "lora"}}, tuning_method="full").tuning_method == "full"


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"epoch": 3}, UnknownFieldError, "no field"),
        ({"model": "a", "base_model": "b"}, InvalidRequestError, "mean the same field"),
        ({"hyperparameters": 3}, InvalidRequestError, "hyperparameters"),
        ({"method": {"type": "dpo"}}, InvalidRequestError, "only 'supervised'"),
        ({"job_spec": 3}, InvalidRequestError, "job_spec"),
        ({"from_checkpoint_state": "whole"}, InvalidRequestError, "give from_checkpoint"),
    ],
)
def test_what_is_given_beside_it_is_checked(given: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        joined({}, **given)


def test_only_a_job_of_the_service_goes_by_a_saved_request() -> None:
    with pytest.raises(InvalidRequestError, match="give the fields themselves"):
        parse_request({"job_spec": "nightly", **SAVED})
