"""What the Prefect UI calls the second step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prefect._internal.engine import resolve_custom_task_run_name

from afinador.config.layers import resolve_hyperparameters
from tasks.load_model import load_model


@pytest.mark.parametrize(
    ("method", "name"), [("lora", "load model"), ("full", "load model"), ("qlora", "load/quantize model")]
)
def test_the_step_says_whether_the_model_is_quantised(method: Any, name: str) -> None:
    hyperparameters, _ = resolve_hyperparameters(method, [])
    attempt = SimpleNamespace(spec=SimpleNamespace(hyperparameters=hyperparameters))
    assert resolve_custom_task_run_name(load_model, {"attempt": attempt}) == name
