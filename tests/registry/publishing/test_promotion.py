"""Who is champion: the job's condition, held against figures, and what is told of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file
from sqlalchemy import select

from afinador.config.promotion import Condition
from afinador.errors import InvalidRequestError
from afinador.settings import Settings
from registry import organisations
from registry.ledger.tables import Event, HubVersion, Organization
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking import mlflow_models
from registry.tracking.experiments import Experiments


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("valid_loss < champion", ("loss", "<", "champion")),
        ("exact_match>=0.8", ("exact_match", ">=", 0.8)),
        ("  perplexity <= 1.5e1 ", ("perplexity", "<=", 15.0)),
        ("accuracy > base", ("accuracy", ">", "base")),
    ],
)
def test_condition_is_read(text: str, parsed: tuple[Any, ...]) -> None:
    condition = Condition.parse(text)
    assert (condition.metric, condition.comparison, condition.standard) == parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("better", "METRIC < STANDARD"),
        ("loss == 1", "METRIC < STANDARD"),
        ("loss < champion and 1", "METRIC < STANDARD"),
        ("__import__('os') < 1", "METRIC < STANDARD"),
        ("exact_mach > 0.5", "Did you mean 'exact_match'"),
        ("", "METRIC < STANDARD"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        Condition.parse(text)
    assert words in refusal.value.message and refusal.value.param == "hyperparameters.promote_if"


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    return Experiments(Settings(home=tmp_path_factory.getbasetemp() / "mlflow-store"))


@pytest.fixture
def acme(memory: Memory) -> Organization:
    with memory.database.session() as session:
        return organisations.create(session, f"acme-{secrets.token_hex(4)}")


@pytest.fixture
def publish(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, tmp_path: Path
) -> Callable[..., HubVersion]:
    """Publishes a job with a condition and figures."""
    import numpy

    def go(promote_if: str | None, loss: float, base_loss: float = 3.0) -> HubVersion:
        final = tmp_path / secrets.token_hex(4)
        final.mkdir()
        (final / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
        save_file({"a": numpy.zeros(4, dtype="float32")}, str(final / "adapter_model.safetensors"))
        given = {} if promote_if is None else {"promote_if": promote_if}
        job = ready.job(acme, output_model="orders", validation_file="train", config=given)
        metrics = {"base": {"loss": base_loss}, "tuned": {"loss": loss, "exact_match": None}}
        return hub.publish(memory, experiments, job, final, metrics)

    return go


def champion(experiments: Experiments, acme: Organization) -> int | None:
    with experiments.workspace(acme.name) as client:
        return client.get_registered_model("orders").aliases.get("champion")


def told(memory: Memory, row: HubVersion) -> tuple[str, dict[str, Any]]:
    with memory.database.reading() as session:
        query = select(Event).where(Event.job_id == row.job_id, Event.dedup_key == "promotion")
        event = session.scalars(query).one()
        return event.message, event.data


def test_condition_decides_who_is_champion(
    memory: Memory, experiments: Experiments, acme: Organization, publish: Callable[..., HubVersion]
) -> None:
    first = publish("valid_loss < champion", 0.5)
    assert champion(experiments, acme) == 1
    assert told(memory, first)[0].endswith("there was none before (loss 0.5).")
    worse = publish("valid_loss < champion", 0.6)
    assert champion(experiments, acme) == 1
    message, data = told(memory, worse)
    assert (
        message == "The new version does not become the champion of orders: its loss 0.6 is not < 0.5 of the champion."
    )
    assert data == {
        "promote_if": "valid_loss < champion", "metric": "loss", "value": 0.6, "standard": 0.5,
        "champion_job": first.job_id, "promoted": False,
    }  # fmt: skip
    better = publish("valid_loss < champion", 0.4)
    assert champion(experiments, acme) == 3
    assert told(memory, better)[1]["promoted"] is True
    publish("exact_match >= 0.8", 0.1)  # was not measured
    publish("loss < base", 3.5)
    assert champion(experiments, acme) == 3
    publish("loss < base", 2.5)
    assert champion(experiments, acme) == 6
    publish(None, 9.0)
    assert champion(experiments, acme) == 7


def test_a_version_held_back_inherits_nothing(
    experiments: Experiments, acme: Organization, publish: Callable[..., HubVersion]
) -> None:
    for condition, loss in ((None, 0.5), ("loss < 0.1", 0.4), (None, 0.3)):
        publish(condition, loss)
    assert champion(experiments, acme) == 3
    mlflow_models.delete_version(experiments, acme.name, "orders", "3")
    assert champion(experiments, acme) == 1
    mlflow_models.delete_version(experiments, acme.name, "orders", "1")
    assert champion(experiments, acme) is None
    assert mlflow_models.champion_tags(experiments, acme.name, "orders") is None
