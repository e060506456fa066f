"""Data sets of the Hugging Face Hub that commands look at or prepare: fetched by the service, and kept only if they are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from registry.ledger.tables import File, Preparation
from tests.registry.hf_hub import COMMIT, Hub, running_hub

Run = Callable[..., Any]


@pytest.fixture
def hub(service: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that the service asks, with one data set of two splits."""
    with running_hub() as server:
        rows = "".join(f'{{"prompt": "{n} + 1 =", "completion": "{n + 1}"}}\n' for n in range(12)).encode()
        server.dataset_files = {"train.jsonl": rows, "test.jsonl": rows[:40], "README.md": b"# Sums"}
        monkeypatch.setattr(service.memory.settings, "hf_endpoint", server.url)
        monkeypatch.setattr(service.memory.settings, "hf_token", None)
        yield server


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    path = tmp_path / "steps.yaml"
    path.write_text("- {type: deduplicate}\n")
    return path


def test_a_data_set_is_fetched_before_it_is_prepared(
    online: Run, service: Any, hub: Hub, steps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afinador.client.preparations.Preparations.wait", lambda self, asked: asked)
    ran = online("prepare", "dataset", "hf://acme/tiny", "--pipeline", steps, "--split", "test")
    assert "The service fetches hf://acme/tiny first." in ran.err and "is queued" in ran.err, ran.err
    with service.memory.database.reading() as session:
        mine = Preparation.organization_id == service.organization_id
        file = session.get_one(File, session.scalars(select(Preparation).where(mine)).one().file_id)
    assert (file.filename, file.status, file.revision) == ("acme--tiny.tar", "processed", COMMIT)
    assert file.reading is not None and file.reading["split"] == "test"
    told = json.loads(online("get", "file", file.id, "--json").out)
    assert "not_read" not in told, "the split was chosen, and its card is no data that was left out"


@pytest.mark.parametrize(
    "words",
    [
        ("validate", "dataset", "hf://nobody/none"),
        ("preview", "dataset", "hf://nobody/none", "--base-model", "tiny"),
        ("prepare", "dataset", "hf://nobody/none", "--pipeline"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_leaves_nothing(
    online: Run, hub: Hub, steps: Path, words: tuple[str, ...]
) -> None:
    ran = online(*words, *([steps] if words[-1] == "--pipeline" else []))
    assert ran.code == 2 and "hf://nobody/none cannot be fetched: There is no " in ran.err, ran.err
    assert json.loads(online("list", "file", "--json").out)["data"] == []


def test_what_could_not_be_fetched_is_not_suggested(online: Run, hub: Hub) -> None:
    assert online("create", "file", "hf://acme/none").code == 1
    assert online("create", "file", "hf://acme/tiny").code == 0
    ran = online("get", "file", "acme--non.tar")
    assert ran.code == 3 and "Did you mean 'acme--tiny.tar'" in ran.err and "acme--none" not in ran.err


def test_all_splits_of_a_data_set_are_read_on_demand_and_its_first_one_is_told_otherwise(
    online: Run, service: Any, hub: Hub
) -> None:
    told = json.loads(online("validate", "dataset", "hf://acme/tiny", "--json").out)
    assert told["records"] == 12 and "--split all" in json.dumps(told["warnings"] + told["notes"])
    told = json.loads(online("validate", "dataset", "hf://acme/tiny", "--split", "all", "--json").out)
    assert told["records"] == 13 and told["counts"].get("duplicate") == 1
