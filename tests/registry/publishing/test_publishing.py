"""Publishing: files, entry and MLflow's entry come together or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import (
    InsufficientStorageError,
    ModelError,
    ServiceUnavailableError,
    StorageError,
    UnsupportedModelError,
)
from registry.ledger.database import Database
from registry.ledger.tables import HubVersion, Organization
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking.experiments import Experiments
from tests.registry.publishing.published import Unreachable, registered, rows, stored_keys

Publish = Callable[..., HubVersion]


def test_a_publication_is_files_entry_and_registered_version(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders", domain="shop", tags=["a"])
    row = publish(job)
    assert (row.name, row.version, row.kind, row.job_id) == ("orders", 1, "adapter", job.id)
    assert row.alias == job.spec["output"]["alias"]
    assert registered(experiments, acme) == {"orders": ["1"]}
    with experiments.workspace(acme.name) as client:
        version = client.get_model_version_by_alias("orders", "champion")
    assert version.source == memory.storage.uri(row.storage_prefix)
    assert version.tags["job"] == job.id
    assert len(version.tags["manifest_sha256"]) == 64
    assert {"MLmodel", "components/tokenizer/tokenizer.json", "adapter_model.safetensors"} <= set(row.files)
    for name, file in row.files.items():
        with memory.database.reading() as session:
            content = b"".join(memory.storage.chunks(hub.file_key(session, acme.id, "orders", name)))
        assert job.spec["base_model"]["path"].encode() not in content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])


def test_publishing_a_job_twice_is_publishing_it_once(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders")
    assert publish(job).id == publish(job).id
    assert rows(memory) == 1
    assert registered(experiments, acme) == {"orders": ["1"]}


def test_each_job_of_a_name_makes_a_version_and_each_has_its_alias(
    memory: Memory, ready: Any, acme: Organization, publish: Publish
) -> None:
    first, second = (publish(ready.job(acme, output_model="orders")) for _ in range(2))
    with memory.database.reading() as session:
        newest = hub.to_wire(hub.get(session, acme.id, "orders"))
        older = hub.to_wire(hub.get(session, acme.id, first.alias))
    assert (newest.version, newest.versions, newest.id) == (2, [2, 1], second.alias)
    assert (older.version, older.versions, older.id) == (1, [2, 1], first.alias)
    assert newest.object == "hub.adapter"
    assert newest.metrics == {"tuned": {"loss": 0.5}}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "checkpoint-1/rng_state.pth", "data.pkl"])
def test_pickles_are_not_published(
    memory: Memory, ready: Any, acme: Organization, publish: Publish, final: Path, name: str
) -> None:
    (final / name).parent.mkdir(exist_ok=True)
    (final / name).write_bytes(b"x")
    with pytest.raises(UnsupportedModelError, match=Path(name).name):
        publish(ready.job(acme))
    assert stored_keys(memory, acme) == []


def test_half_an_adapter_is_not_published(ready: Any, acme: Organization, publish: Publish, final: Path) -> None:
    (final / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        publish(ready.job(acme))


def test_nothing_is_left_when_mlflow_is_away_and_the_next_try_succeeds(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders")
    with pytest.raises(ServiceUnavailableError):
        publish(job, Unreachable(memory.settings))
    assert stored_keys(memory, acme) == []
    assert rows(memory) == 0
    assert publish(job).version == 1


def test_nothing_is_left_when_the_storage_fails_midway(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_file = memory.storage.put_file

    def fails_at_the_tokenizer(source: Path, key: str) -> None:
        if key.endswith("/tokenizer.json"):
            raise StorageError("The storage does not answer.")
        put_file(source, key)

    monkeypatch.setattr(memory.storage, "put_file", fails_at_the_tokenizer)
    with pytest.raises(StorageError):
        publish(ready.job(acme, output_model="orders"))
    assert stored_keys(memory, acme) == []
    assert registered(experiments, acme) == {}


@pytest.mark.parametrize("fits_bytes", [0, 400])
def test_nothing_is_left_when_the_disk_is_full_midway_and_it_is_published_when_there_is_space(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
    fits_bytes: int,
) -> None:
    left = fits_bytes

    def copy(source: Path, target: Path) -> None:
        nonlocal left
        content = source.read_bytes()
        if target.suffix != ".part":  # beside the result, not into the storage
            target.write_bytes(content)
            return
        target.write_bytes(content[:left])
        if len(content) > left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        left -= len(content)

    job = ready.job(acme, output_model="orders")
    with monkeypatch.context() as patched, pytest.raises(InsufficientStorageError, match="disk is full"):
        patched.setattr(shutil, "copyfile", copy)
        publish(job)
    assert stored_keys(memory, acme) == []
    assert registered(experiments, acme) == {}
    assert publish(job).version == 1


def test_nothing_is_left_when_the_ledger_refuses(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders")
    job.spec = job.spec | {"organization_id": "org_unknown"}
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        publish(job)
    assert memory.storage.list("org_unknown") == []
    assert registered(experiments, acme) == {}


class PowerCut(BaseException):
    """Nothing is tidied up behind it."""


@pytest.mark.parametrize("failure", [RuntimeError, PowerCut])
def test_a_commit_that_fails_is_healed_by_the_next_try(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[BaseException],
) -> None:
    job = ready.job(acme, output_model="orders")
    begin = memory.database.session

    @contextmanager
    def fails_to_commit() -> Iterator[Any]:
        with begin() as session:
            yield session
            raise failure("the commit failed")

    with monkeypatch.context() as broken, pytest.raises(failure):
        broken.setattr(memory.database, "session", fails_to_commit)
        publish(job)
    assert rows(memory) == 0
    assert publish(job).version == 1
    assert registered(experiments, acme) == {"orders": ["1"]}


def test_others_write_to_the_ledger_while_files_are_copied(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    final: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = ready.job(acme, output_model="orders")
    patient = replace(memory, database=Database(memory.database.url, patience_seconds=30))
    put_file, written = memory.storage.put_file, []

    def write_meanwhile(source: Path, key: str) -> None:
        with sqlite3.connect(memory.settings.home / "ledger.db", timeout=0) as other:
            other.execute("UPDATE jobs SET name = name")
        written.append(key)
        put_file(source, key)

    monkeypatch.setattr(memory.storage, "put_file", write_meanwhile)
    assert hub.publish(patient, experiments, job, final, {}).version == 1
    assert len(written) >= 4
    patient.database.close()


def test_a_slower_attempt_leaves_the_files_of_the_faster_one_alone(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders")

    class Overtaken(Experiments):
        def workspace(self, organization: str) -> Any:
            publish(job)
            raise ServiceUnavailableError("MLflow does not answer.")

    row = publish(job, Overtaken(experiments.settings))
    assert row.version == 1
    assert sorted([*row.files, "shown/MLmodel"]) == [
        key[len(row.storage_prefix) + 1 :] for key in stored_keys(memory, acme)
    ]
