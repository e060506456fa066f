"""Layers of hyperparameters over each other, and what fits a job of them."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.config.fitting import fit_to_task
from afinador.config.resolve import (
    parse_request,
    resolve_request,
)
from afinador.errors import (
    InvalidRequestError,
)

BODY = {"model": "base", "training_file": "data"}


def resolve(**fields: Any) -> Any:
    operator = fields.pop("operator", None)
    return resolve_request(parse_request(BODY | fields), operator)


@pytest.mark.parametrize("task", ["sequence_classification", "seq2seq_lm"])
def test_qlora_and_packing_need_a_causal_model(task: Any) -> None:
    _, plain, sources = resolve()
    _, packed, asked = resolve(hyperparameters={"packing": True})
    fit_to_task("qlora", "causal_lm", packed, asked)
    fit_to_task("lora", task, plain, sources)
    with pytest.raises(InvalidRequestError, match=f"needs task 'causal_lm'; the task is '{task}'") as caught:
        fit_to_task("qlora", task, plain, sources)
    assert caught.value.param == "tuning_method"
    with pytest.raises(InvalidRequestError, match=f"the task is '{task}'. Leave packing out") as caught:
        fit_to_task("lora", task, packed, asked)
    assert caught.value.param == "hyperparameters.packing"


def test_what_an_operator_means_for_other_jobs_is_left_out() -> None:
    operator = {"defaults": {"packing": True, "promote_if": "exact_match >= 0.8"}}
    _, values, sources = resolve(operator=operator, validation_file="held-out")
    fit_to_task("lora", "sequence_classification", values, sources)
    assert (values.packing, values.promote_if) == (False, None)
    assert (sources["packing"], sources["promote_if"]) == ("default", "default")
    _, values, sources = resolve(operator=operator, validation_file="held-out")
    fit_to_task("lora", "causal_lm", values, sources)
    assert (values.packing, values.promote_if, sources["packing"]) == (True, "exact_match >= 0.8", "operator")


@pytest.mark.parametrize(
    ("weaker", "stronger", "expected"),
    [
        ({"warmup_steps": 4}, {"warmup_ratio": 0.1}, {"warmup_steps": 0, "warmup_ratio": 0.1}),
        ({"warmup_ratio": 0.1}, {"warmup_steps": 4}, {"warmup_steps": 4, "warmup_ratio": 0.0}),
        (
            {"packing": True},
            {"attention": "flash_attention_2"},
            {"packing": False, "attention": "flash_attention_2"},
        ),
        ({"attention": "flash_attention_2"}, {"packing": True}, {"packing": True, "attention": "auto"}),
        ({"micro_batch_size": 16}, {"batch_size": 4}, {"micro_batch_size": 4, "batch_size": 4}),
    ],
)
def test_of_two_keys_that_exclude_each_other_the_stronger_layer_has_its_way(
    weaker: dict[str, Any], stronger: dict[str, Any], expected: dict[str, Any]
) -> None:
    for layers in (
        {"operator": {"defaults": weaker}, "hyperparameters": stronger},
        {"operator": {"defaults": weaker}, "config": stronger},
        {"config": weaker, "hyperparameters": stronger},
    ):
        _, values, sources = resolve(**layers)
        assert {key: getattr(values, key) for key in expected} == expected
        assert {sources[key] for key in stronger} <= {"file", "request"}
    with pytest.raises(InvalidRequestError):
        resolve(hyperparameters=weaker | stronger)


def test_a_part_of_a_batch_is_no_larger_than_the_batch() -> None:
    for body in ({"batch_size": 8, "micro_batch_size": 9}, {"micro_batch_size": 33}):
        with pytest.raises(
            InvalidRequestError, match=r"micro_batch_size is .* Give at most (8|32), or leave"
        ) as caught:
            resolve(hyperparameters=body)
        assert caught.value.param == "hyperparameters.micro_batch_size"


def test_layers_win_in_order() -> None:
    operator = {"defaults": {"epochs": 2, "batch_size": 8, "warmup_steps": 5}}
    _, values, sources = resolve(
        operator=operator, config={"epochs": 4, "batch_size": 16}, hyperparameters={"epochs": 6}
    )
    assert (values.epochs, values.batch_size, values.warmup_steps) == (6, 16, 5)
    assert (sources["epochs"], sources["batch_size"], sources["warmup_steps"]) == ("request", "file", "operator")


@pytest.mark.parametrize(("task", "metric"), [("causal_lm", "macro_f1"), ("sequence_classification", "exact_match")])
def test_champion_is_not_chosen_by_a_figure_that_the_task_does_not_have(task: Any, metric: str) -> None:
    _, values, sources = resolve(validation_file="held-out", hyperparameters={"promote_if": f"{metric} > 0.5"})
    with pytest.raises(
        InvalidRequestError, match=f"'{metric}', which is not measured for the task '{task}'; there are: v"
    ):
        fit_to_task("lora", task, values, sources)
