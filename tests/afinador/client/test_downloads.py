"""Published folders and checkpoints come down whole from a real service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afinador.client import results
from afinador.errors import NotFoundError, ServiceUnavailableError, StorageError
from tests.afinador.client.noted_calls import asked_by

FILES = {"adapter_config.json": b"{}", "weights/adapter_model.safetensors": bytes(range(256)) * 4000}


@pytest.fixture
def published(client: Any, service: Any, dataset: Path) -> results.HubEntry:
    job = client.jobs.create(base_model="tiny", dataset=dataset, output_model="bot")
    service.publish(job.model_dump(mode="json"), FILES)
    return client.hub.get("bot")


def test_a_published_folder_comes_down_whole(client: Any, published: results.HubEntry, tmp_path: Path) -> None:
    assert published.kind == "adapter" and [entry.name for entry in client.hub.adapters()] == ["bot"]
    assert list(client.hub.models()) == []
    seen: list[int] = []
    for name in ("bot", published.id):
        folder = tmp_path / name.partition(":")[0]
        fetched = client.hub.download(name, folder, lambda _, done, total: seen.append(done))
        assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in fetched} == FILES
        assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(fetched)
    assert {file.path: file.bytes for file in client.hub.files("bot")} == {path: len(FILES[path]) for path in FILES}
    assert {path: client.hub.content(published, path) for path in FILES} == FILES
    assert client.hub.content("bot", "adapter_config.json", version=1) == b"{}"
    assert seen == sorted(seen[: len(seen) // 2]) * 2
    assert seen[-1] == sum(map(len, FILES.values()))


def test_what_is_published_stays_when_it_cannot_be_deleted_everywhere(
    client: Any, published: results.HubEntry, pauses: list[float]
) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        client.hub.delete("nothing")
    with pytest.raises(ServiceUnavailableError, match="MLflow is away"):
        client.hub.delete(published.name)
    assert client.hub.get("bot").id == published.id and pauses


def test_what_lies_there_whole_is_not_fetched_again(
    client: Any, published: results.HubEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.hub.download("bot", tmp_path)
    (tmp_path / "adapter_config.json").write_bytes(b"??")
    asked = asked_by(client, monkeypatch)
    client.hub.download("bot", tmp_path)
    assert [call.path.rpartition("/")[2] for call in asked] == ["bot", "adapter_config.json"]
    assert (tmp_path / "adapter_config.json").read_bytes() == b"{}"


def test_a_damaged_file_is_not_kept(client: Any, service: Any, published: results.HubEntry, tmp_path: Path) -> None:
    prefix = f"{service.organization_id}/hub/bot/1/adapter_config.json"
    service.memory.storage.local_path(prefix).write_bytes(b"[]")
    with pytest.raises(StorageError, match=r"adapter_config\.json arrived with another SHA-256"):
        client.hub.download("bot", tmp_path)
    assert list(tmp_path.glob("adapter_config*")) == []


def test_a_checkpoint_comes_down_whole(client: Any, service: Any, dataset: Path, tmp_path: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, name="kept")
    service.keep_checkpoint(job.id, 500, FILES)
    (listed,) = client.jobs.checkpoints(job)
    for reference in (500, listed.id):
        folder = tmp_path / str(reference)
        fetched = client.jobs.download_checkpoint(job, reference, folder)
        assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in fetched} == FILES
    stated = client.jobs.checkpoint_files(job, 500)
    assert {file.path: client.jobs.checkpoint_content(job, listed.id, file.path) for file in stated} == FILES
    with pytest.raises(NotFoundError, match="by step: 500"):
        client.jobs.download_checkpoint("kept", 501, tmp_path)
    with pytest.raises(NotFoundError, match=r"no file 'adapter'.*adapter_config\.json"):
        client.jobs.checkpoint_content("kept", 500, "adapter")
