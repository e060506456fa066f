"""A run is refused for a parameter that its deployment does not have, and otherwise left to Prefect's engine."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from afinador.errors import ServiceUnavailableError, UnknownFieldError
from flows import engine
from registry.prefect_api import Prefect, RunParameters

KNOWN = ("organization", "request")


def test_a_parameter_that_nobody_knows_is_named_with_the_nearest() -> None:
    engine.require_known(RunParameters(frozenset({"request"}), KNOWN))
    with pytest.raises(UnknownFieldError) as caught:
        engine.require_known(RunParameters(frozenset({"organisation", "request"}), KNOWN))
    assert caught.value.message == (
        "'organisation' is no parameter of this deployment; it takes organization and request. Leave it out."
        " Did you mean 'organization'?"
    )


@pytest.mark.parametrize("is_away", [False, True])
def test_a_run_that_is_not_refused_is_executed_by_prefect(monkeypatch: pytest.MonkeyPatch, is_away: bool) -> None:
    executed: list[str] = []

    def parameters(_prefect: Prefect, run_id: str) -> RunParameters:
        if is_away:
            raise ServiceUnavailableError("Prefect does not answer.")
        return RunParameters(frozenset(KNOWN), KNOWN)

    def run_module(name: str, **_: Any) -> None:
        executed.append(name)

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "6f7c1b1e-0000-4000-8000-000000000000")
    monkeypatch.setattr(Prefect, "parameters", parameters)
    monkeypatch.setattr(runpy, "run_module", run_module)
    engine.main()
    assert executed == ["prefect.engine"]
