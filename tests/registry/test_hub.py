"""The hub: files, entry and MLflow's entry come and go together."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file
from sqlalchemy import func, select

from afinador.errors import ModelError, NotFoundError, ServiceUnavailableError, StorageError, UnsupportedModelError
from afinador.settings import Settings
from registry import hub, organisations
from registry.experiments import Experiments
from registry.memory import Memory
from registry.tables import HubVersion, Job, Organization


class Unreachable(Experiments):
    """MLflow whose database is away."""

    def connect(self) -> Any:
        raise ServiceUnavailableError("MLflow does not answer.")


class LostBeforeDeleting(Experiments):
    """MLflow that goes away between its greeting and its work."""

    def workspace(self, organization: str) -> Any:
        raise ServiceUnavailableError("MLflow does not answer.")


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


Publish = Callable[..., HubVersion]


@pytest.fixture
def publish(memory: Memory, experiments: Experiments, final: Path) -> Publish:
    def go(job: Job, gateway: Experiments | None = None) -> HubVersion:
        with memory.database.session() as session:
            return hub.publish(session, memory, gateway or experiments, job, final, {"tuned": {"loss": 0.5}})

    return go


def registered(experiments: Experiments, organization: Organization) -> dict[str, list[str]]:
    """Return names and versions as MLflow has them."""
    with experiments.workspace(organization.name) as client:
        found: dict[str, list[str]] = {model.name: [] for model in client.search_registered_models()}
        for version in client.search_model_versions():
            found[version.name].append(str(version.version))
    return {name: sorted(versions) for name, versions in found.items()}


def stored_keys(memory: Memory, organization: Organization) -> list[str]:
    return [*memory.storage.list(f"{organization.id}/hub"), *memory.storage.list(f"{organization.id}/hub-deleted")]


def rows(memory: Memory) -> int:
    with memory.database.reading() as session:
        return session.scalars(select(func.count(HubVersion.id))).one()


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
        content = b"".join(memory.storage.chunks(f"{row.storage_prefix}/{name}"))
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


def test_nothing_is_left_when_the_ledger_refuses(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    job = ready.job(acme, output_model="orders")
    job.spec = job.spec | {"organization_id": "org_unknown"}
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        publish(job)
    assert memory.storage.list("org_unknown") == []
    assert registered(experiments, acme) == {}


def test_a_commit_that_fails_is_healed_by_the_next_try(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish, final: Path
) -> None:
    job = ready.job(acme, output_model="orders")
    with pytest.raises(RuntimeError), memory.database.session() as session:
        hub.publish(session, memory, experiments, job, final, {})
        raise RuntimeError("the commit failed")
    assert rows(memory) == 0
    assert publish(job).version == 1
    assert registered(experiments, acme) == {"orders": ["1"]}


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
    assert sorted(row.files) == [key[len(row.storage_prefix) + 1 :] for key in stored_keys(memory, acme)]


def test_files_are_found_by_name_alias_and_version(
    memory: Memory, ready: Any, acme: Organization, publish: Publish, final: Path
) -> None:
    publish(ready.job(acme, output_model="orders"))
    (final / "README.md").write_text("# The second")
    second = publish(ready.job(acme, output_model="orders"))
    with memory.database.reading() as session:
        contents = [
            b"".join(memory.storage.chunks(hub.file_key(session, acme.id, name, "README.md", version=version)))
            for name, version in (("orders", None), (second.alias, None), ("orders", 1))
        ]
        assert contents == [b"# The second", b"# The second", b"# An adapter"]
        assert [file.path for file in hub.files_of(session, acme.id, "orders")] == sorted(second.files)
        with pytest.raises(NotFoundError, match=r"Did you mean 'README\.md'"):
            hub.file_key(session, acme.id, "orders", "README")
        with pytest.raises(NotFoundError):
            hub.file_key(session, acme.id, "orders", "../../files/secret")
        with pytest.raises(NotFoundError, match="no version 7; it has: 2, 1"):
            hub.files_of(session, acme.id, "orders", version=7)


def test_what_mlflow_leaves_beside_the_files_is_no_file_of_the_version(
    memory: Memory, ready: Any, acme: Organization, publish: Publish
) -> None:
    row = publish(ready.job(acme, output_model="orders"))
    place = memory.storage.local_path(row.storage_prefix)
    assert place is not None
    (place / "registered_model_meta").write_text("model_name: orders")
    with memory.database.reading() as session, pytest.raises(NotFoundError):
        hub.file_key(session, acme.id, "orders", "registered_model_meta")


def test_lists_are_by_kind_of_the_newest_version(
    memory: Memory, ready: Any, acme: Organization, publish: Publish, final: Path
) -> None:
    publish(ready.job(acme, output_model="orders"))
    publish(ready.job(acme, output_model="letters"))
    (final / "config.json").write_text("{}")
    publish(ready.job(acme, output_model="orders", tuning_method="full"))
    with memory.database.reading() as session:
        listed = {
            kind: [hub.to_wire(rows).name for rows in hub.list_page(session, acme.id, kind)[0]]
            for kind in ("adapter", "model")
        }
    assert listed == {"adapter": ["letters"], "model": ["orders"]}


def test_lists_are_read_page_by_page_newest_first(
    memory: Memory, ready: Any, acme: Organization, publish: Publish
) -> None:
    for name in ("first", "second", "third", "second"):
        publish(ready.job(acme, output_model=name))
    pages, after, has_more = [], None, True
    with memory.database.reading() as session:
        while has_more:
            rows, has_more = hub.list_page(session, acme.id, "adapter", after=after, limit=1)
            pages.append([(versions[0].name, hub.to_wire(versions).versions) for versions in rows])
            after = rows[-1][0].alias
        newest = [(row.name, row.version) for row in hub.newest_versions(session, acme.id)]
    assert pages == [[("second", [2, 1])], [("third", [1])], [("first", [1])]]
    assert newest == [("second", 2), ("third", 1), ("first", 1)]


def test_no_organization_sees_or_deletes_what_another_one_made(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, globex: Organization, publish: Publish
) -> None:
    row = publish(ready.job(acme, output_model="orders"))
    with memory.database.session() as session:
        assert hub.list_page(session, globex.id, "adapter") == ([], False)
        for name in ("orders", row.alias):
            with pytest.raises(NotFoundError):
                hub.get(session, globex.id, name)
            with pytest.raises(NotFoundError):
                hub.delete(session, memory, experiments, globex.id, name)
    assert registered(experiments, acme) == {"orders": ["1"]}


def test_an_unknown_name_is_answered_with_the_nearest(
    memory: Memory, ready: Any, acme: Organization, publish: Publish
) -> None:
    publish(ready.job(acme, output_model="orders"))
    with memory.database.reading() as session, pytest.raises(NotFoundError, match="Did you mean 'orders'") as caught:
        hub.get(session, acme.id, "order")
    assert caught.value.code == "model_not_found"


def test_deleting_a_name_deletes_all_versions_everywhere(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    for _ in range(2):
        publish(ready.job(acme, output_model="orders"))
    kept = publish(ready.job(acme, output_model="letters"))
    with memory.database.session() as session:
        hub.delete(session, memory, experiments, acme.id, "orders")
    assert registered(experiments, acme) == {"letters": ["1"]}
    assert rows(memory) == 1
    assert all(key.startswith(kept.storage_prefix) for key in stored_keys(memory, acme))


def test_deleting_an_alias_deletes_that_version_alone(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    first, second = (publish(ready.job(acme, output_model="orders")) for _ in range(2))
    with memory.database.session() as session:
        hub.delete(session, memory, experiments, acme.id, second.alias)
    with experiments.workspace(acme.name) as client:
        assert str(client.get_model_version_by_alias("orders", "champion").version) == first.mlflow_model_version
    assert all(key.startswith(first.storage_prefix) for key in stored_keys(memory, acme))
    with memory.database.session() as session:
        hub.delete(session, memory, experiments, acme.id, first.alias)
    assert registered(experiments, acme) == {}
    assert stored_keys(memory, acme) == []
    assert rows(memory) == 0


@pytest.mark.parametrize("gateway", [Unreachable, LostBeforeDeleting])
def test_nothing_is_deleted_while_mlflow_is_away(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    publish: Publish,
    gateway: type[Experiments],
) -> None:
    publish(ready.job(acme, output_model="orders"))
    before = stored_keys(memory, acme)
    with pytest.raises(ServiceUnavailableError), memory.database.session() as session:
        hub.delete(session, memory, gateway(experiments.settings), acme.id, "orders")
    assert stored_keys(memory, acme) == before
    assert rows(memory) == 1
    assert registered(experiments, acme) == {"orders": ["1"]}


def test_nothing_is_deleted_while_the_storage_is_away(
    memory: Memory,
    experiments: Experiments,
    ready: Any,
    acme: Organization,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows_before = [publish(ready.job(acme, output_model="orders")) for _ in range(2)]
    before, move, calls = stored_keys(memory, acme), memory.storage.move, []

    def fails_at_the_second(prefix: str, target: str) -> None:
        calls.append(prefix)
        if len(calls) == 2:
            raise StorageError("The storage does not answer.")
        move(prefix, target)

    monkeypatch.setattr(memory.storage, "move", fails_at_the_second)
    with pytest.raises(StorageError), memory.database.session() as session:
        hub.delete(session, memory, experiments, acme.id, "orders")
    assert stored_keys(memory, acme) == before
    assert rows(memory) == len(rows_before)
    assert registered(experiments, acme) == {"orders": ["1", "2"]}


def test_an_entry_whose_files_are_lost_can_be_deleted(
    memory: Memory, experiments: Experiments, ready: Any, acme: Organization, publish: Publish
) -> None:
    memory.storage.delete(publish(ready.job(acme, output_model="orders")).storage_prefix)
    with memory.database.session() as session:
        hub.delete(session, memory, experiments, acme.id, "orders")
    assert rows(memory) == 0
    assert registered(experiments, acme) == {}
