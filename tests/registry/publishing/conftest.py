"""An organisation of its own for each test, and adapters to publish."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from afinador.settings import Settings
from registry import organisations
from registry.ledger.tables import HubVersion, Job, Organization
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking.experiments import Experiments

Publish = Callable[..., HubVersion]


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    return Experiments(Settings(home=tmp_path_factory.getbasetemp() / "mlflow-store"))


@pytest.fixture
def acme(memory: Memory) -> Organization:
    """A name of its own for each test: MLflow's store is shared by all of them."""
    with memory.database.session() as session:
        return organisations.create(session, f"acme-{secrets.token_hex(4)}")


@pytest.fixture
def final(tmp_path: Path) -> Path:
    """An adapter as training leaves it."""
    import numpy

    folder = tmp_path / "final"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "tiny"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("# An adapter")
    save_file({"a": numpy.zeros(4, dtype="float32")}, str(folder / "adapter_model.safetensors"))
    return folder


@pytest.fixture
def publish(memory: Memory, experiments: Experiments, final: Path) -> Publish:
    def go(job: Job, gateway: Experiments | None = None) -> HubVersion:
        return hub.publish(memory, gateway or experiments, job, final, {"tuned": {"loss": 0.5}})

    return go
