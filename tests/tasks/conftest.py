"""A ledger and a storage as a flow finds them by its environment, and jobs that can be run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from afinador.config.resolve import parse_request
from afinador.data.tokens.process import TokenProcess
from afinador.models.headers import inspect_model_folder
from afinador.settings import Settings, read_settings
from afinador.storage import sha256_of
from registry import jobs, organisations
from registry.data_sets import files
from registry.ledger.tables import BaseModel, Job, Organization
from registry.memory import Memory
from tasks import dataset_report

Create = Callable[..., Job]


@pytest.fixture
def memory(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, empty_ledger: Path
) -> Iterator[Memory]:
    """What a flow opens by its environment; MLflow's store takes seconds to make, so a session's tests share one."""
    monkeypatch.setenv("AFINADOR_HOME", str(tmp_path / "home"))
    shared = Settings(home=tmp_path_factory.getbasetemp() / "mlflow-store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared.tracking_uri)
    settings = read_settings()
    settings.home.mkdir()
    shutil.copy(empty_ledger, settings.home / "ledger.db")
    opened = Memory.open(settings)
    yield opened
    opened.database.close()


@pytest.fixture(scope="session")
def warm() -> Iterator[TokenProcess]:
    """One process for the tokenizers of all tests: each takes a second or two to start."""
    with TokenProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def one_token_process(warm: TokenProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_report, "TokenProcess", lambda: nullcontext(warm))


@pytest.fixture
def create(memory: Memory, root: Path, tmp_path: Path) -> Create:
    """Makes a job of 12 steps on the example's base model."""
    base = root / "examples" / "base_model" / "model"
    described = inspect_model_folder(base)
    rows = [{"prompt": f"{number} + 1 =", "completion": f"{number + 1}"} for number in range(24)]
    source = tmp_path / "train.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with memory.database.session() as session:
        organization = organisations.create(session, f"org-{tmp_path.name[-20:].strip('_').replace('_', '-').lower()}")
        told = {"architecture": described.architecture, "parameters": described.parameters, "sha256": described.sha256}
        at = {"source": str(base), "path": str(base), "status": "ready", "task": "causal_lm", "files": {}}
        session.add(BaseModel(organization_id=organization.id, name="tiny", **at, **told))
        size = source.stat().st_size
        file = files.create(
            session, memory, organization.id, source, source.name, "fine-tune", sha256_of(source), size
        )  # fmt: skip
    files.check(memory, file.id)

    def go(**given: Any) -> Job:
        small = {"epochs": 2, "batch_size": 4, "logging_steps": 1, "save_steps": 4, "lora_dropout": 0.2}
        body = {"model": "tiny", "training_file": "train.jsonl", "hyperparameters": small | given.pop("settings", {})}
        with memory.database.session() as session:
            owner = session.get_one(Organization, organization.id)
            return jobs.create(session, memory, owner, parse_request(body | given))

    return go
