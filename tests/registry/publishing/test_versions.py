"""Published versions: found, listed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import InvalidRequestError, NotFoundError, ServiceUnavailableError, StorageError
from registry.ledger.tables import HubVersion, Organization
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking.experiments import Experiments
from tests.registry.publishing.published import LostBeforeDeleting, Unreachable, registered, rows, stored_keys

Publish = Callable[..., HubVersion]


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


def test_a_page_goes_on_behind_a_name_that_got_a_new_version_meanwhile(
    memory: Memory, ready: Any, acme: Organization, globex: Organization, publish: Publish
) -> None:
    publish(ready.job(acme, output_model="first"))
    shown = publish(ready.job(acme, output_model="second"))
    publish(ready.job(acme, output_model="second"))
    with memory.database.reading() as session:
        rows, has_more = hub.list_page(session, acme.id, "adapter", after=shown.alias, limit=1)
        assert ([versions[0].name for versions in rows], has_more) == (["first"], False)
        with pytest.raises(InvalidRequestError, match="not in this list"):
            hub.list_page(session, globex.id, "adapter", after=shown.alias)


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


def test_version_names_the_adapter_that_it_began_with(ready: Any, acme: Organization, publish: Publish) -> None:
    first = publish(ready.job(acme, output_model="orders"))
    second = publish(ready.job(acme, output_model="orders", model="orders"))
    assert [hub.to_wire([row]).started_from for row in (first, second)] == [None, first.alias]
