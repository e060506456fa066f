"""The SDK against a real service."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from afinador import Afinador
from afinador.client import calls, connection, results
from afinador.errors import (
    AuthenticationError,
    IllegalTransitionError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StorageError,
    UnknownFieldError,
)

Background = Callable[[Callable[[], None]], None]


def test_a_file_goes_up_and_comes_back_the_same(client: Afinador, dataset: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = client.files.create(dataset, on_progress=lambda done, total: seen.append((done, total)))
    assert file.sha256 == hashlib.sha256(dataset.read_bytes()).hexdigest()
    assert seen[-1] == (dataset.stat().st_size, dataset.stat().st_size)
    assert client.files.content(file.id) == dataset.read_bytes()
    checked = client.files.wait(file.id)
    assert (checked.status, checked.records) == ("processed", 12)
    assert [listed.id for listed in client.files.list()] == [file.id]
    assert client.files.delete(file.id).deleted
    assert list(client.files.list()) == []


def test_times_are_datetimes(client: Afinador, dataset: Path) -> None:
    file = client.files.create(dataset)
    assert abs(file.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    job = client.jobs.create(base_model="tiny", dataset=file.id)
    assert isinstance(job, results.Job)
    assert job.created_at.tzinfo is not None and job.finished_at is None


def test_a_path_as_dataset_is_uploaded_first(client: Afinador, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 2}, name="mine")
    (file,) = client.files.list()
    assert job.dataset == file.id
    assert job.hyperparameters["epochs"] in (2, {"n_epochs": 2})
    assert client.jobs.get("mine").id == job.id
    assert [listed.id for listed in client.jobs.list()] == [job.id]


def test_a_refused_job_uploads_nothing_and_the_same_bytes_go_up_once(client: Afinador, dataset: Path) -> None:
    with pytest.raises(OutOfRangeError):
        client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 50})
    assert list(client.files.list()) == []
    first, second = (client.jobs.create(base_model="tiny", dataset=dataset) for _ in range(2))
    assert first.dataset == second.dataset and len(list(client.files.list())) == 1


def test_lists_go_over_all_pages(client: Afinador, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.client.paging.LARGEST_PAGE", 2)
    file = client.files.create(dataset).id
    made = [client.jobs.create(base_model="tiny", dataset=file).id for _ in range(5)]
    assert [job.id for job in client.jobs.list()] == made[::-1]
    assert [job.id for job in client.jobs.list().first(3)] == made[::-1][:3]


def test_wait_returns_the_job_as_it_ended(
    client: Afinador, service: Any, dataset: Path, in_background: Background
) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset)
    client.files.wait(job.dataset)
    in_background(lambda: service.end_job(job.id, service.run_job(job.id)))
    ended = client.jobs.wait(job.id, poll_seconds=0.05, timeout_seconds=20)
    assert ended.status == "succeeded" and ended.has_ended
    assert ended.metrics["tuned"]["loss"] == 0.4
    assert [row["train_loss"] for row in client.jobs.metrics(job.id)] == [2.0, 1.0]


def test_waiting_ends_at_its_time(client: Afinador, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, name="slow")
    with pytest.raises(ServiceUnavailableError, match=r"'slow'|has not ended after 0\.1 s"):
        client.jobs.wait(job.id, timeout_seconds=0.1, poll_seconds=0.02)


def test_events_stream_once_each_oldest_first(
    client: Afinador, service: Any, dataset: Path, in_background: Background
) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset)
    client.files.wait(job.dataset)
    attempt = service.run_job(job.id, losses=tuple(range(150)))
    in_background(lambda: service.end_job(job.id, attempt))
    streamed = [event.id for event in client.jobs.stream_events(job.id, poll_seconds=0.05)]
    assert len(streamed) > 150
    assert streamed == [event.id for event in client.jobs.events(job.id)][::-1]


def test_cancelling_an_ended_job_is_refused_as_such(client: Afinador, service: Any, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset)
    assert client.jobs.cancel(job.id).status == "cancelled"
    other = client.jobs.create(base_model="tiny", dataset=dataset)
    client.files.wait(other.dataset)
    service.end_job(other.id, service.run_job(other.id))
    with pytest.raises(IllegalTransitionError, match="succeeded"):
        client.jobs.cancel(other.id)


@pytest.mark.parametrize(
    ("attempt", "kind", "words"),
    [
        (lambda client: client.jobs.get("nothing"), NotFoundError, "nothing"),
        (lambda client: client.jobs.create(base_model="tiny", dataset="x", epoks=3), UnknownFieldError, "epoks"),
        (lambda client: client.jobs.create(base_model="tinny", dataset="orders"), NotFoundError, "tiny"),
        (lambda client: client.files.get("file-none"), NotFoundError, "file-none"),
        (lambda client: client.hub.get("none"), NotFoundError, "none"),
    ],
)
def test_errors_have_the_service_s_class(
    client: Afinador, dataset: Path, attempt: Callable[[Afinador], object], kind: type[Exception], words: str
) -> None:
    client.files.create(dataset)
    with pytest.raises(kind, match=words):
        attempt(client)


def test_a_value_out_of_range_names_field_and_range(client: Afinador, dataset: Path) -> None:
    with pytest.raises(OutOfRangeError, match="from 1 to 10") as raised:
        client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 50})
    assert raised.value.param == "hyperparameters.epochs"


def test_keys_decide_what_is_allowed(service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with Afinador(service.url) as nobody, pytest.raises(AuthenticationError, match="AFINADOR_API_KEY"):
        nobody.jobs.list().first(1)
    with Afinador(service.url, "af-wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.jobs.list().first(1)
    with Afinador(service.url, service.key) as member, pytest.raises(PermissionDeniedError):
        member.organizations.list().first(1)


def test_the_operator_makes_organizations_and_keys(client: Afinador, service: Any) -> None:
    made = client.organizations.create(f"{service.organization}-b")
    assert made.id in [each.id for each in client.organizations.list()]
    key = client.api_keys.create(made.name, "laptop")
    assert key.key
    with Afinador(service.url, key.key) as theirs:
        assert list(theirs.jobs.list()) == []
        assert client.api_keys.delete(key.id).deleted
        with pytest.raises(AuthenticationError):
            theirs.jobs.list().first(1)


def test_specs_are_saved_listed_and_deleted(client: Afinador, dataset: Path) -> None:
    client.files.create(dataset)
    saved = client.job_specs.create("nightly", {"base_model": "tiny", "dataset": dataset.name}, retrain_on_update=False)
    assert saved.created_at.tzinfo is not None and not saved.retrain_on_update
    assert [spec.name for spec in client.job_specs.list()] == ["nightly"]
    assert client.job_specs.get(saved.id) == client.job_specs.get("nightly") == saved
    assert client.job_specs.delete("nightly").deleted
    with pytest.raises(NotFoundError, match="no job spec 'nightly'"):
        client.job_specs.get("nightly")


def test_models_are_registered_listed_and_deleted(client: Afinador, service: Any) -> None:
    folder = service.models / service.organization
    model = client.models.wait(client.models.create("second", str(folder)).id)
    assert (model.status, model.type, model.parameters) == ("ready", "base", 16)
    assert {each.name for each in client.models.list()} >= {"tiny", "second"}
    assert client.models.delete("second").deleted
    with pytest.raises(NotFoundError):
        client.models.get("second")


FILES = {"adapter_config.json": b"{}", "weights/adapter_model.safetensors": bytes(range(256)) * 4000}


@pytest.fixture
def published(client: Afinador, service: Any, dataset: Path) -> results.HubEntry:
    job = client.jobs.create(base_model="tiny", dataset=dataset, output_model="bot")
    service.publish(job.model_dump(mode="json"), FILES)
    return client.hub.get("bot")


def test_a_published_folder_comes_down_whole(client: Afinador, published: results.HubEntry, tmp_path: Path) -> None:
    assert published.kind == "adapter" and [entry.name for entry in client.hub.adapters()] == ["bot"]
    assert list(client.hub.models()) == []
    seen: list[int] = []
    for name in ("bot", published.id):
        folder = tmp_path / name.partition(":")[0]
        fetched = client.hub.download(name, folder, lambda _, done, total: seen.append(done))
        assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in fetched} == FILES
        assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(fetched)
    assert seen == sorted(seen[: len(seen) // 2]) * 2
    assert seen[-1] == sum(map(len, FILES.values()))


def test_what_lies_there_whole_is_not_fetched_again(
    client: Afinador, published: results.HubEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.hub.download("bot", tmp_path)
    (tmp_path / "adapter_config.json").write_bytes(b"??")
    asked: list[calls.Call] = []
    original = connection.Connection.chunks
    monkeypatch.setattr(
        connection.Connection,
        "chunks",
        lambda self, call: asked.append(call) or original(self, call),  # type: ignore
    )
    client.hub.download("bot", tmp_path)
    assert [call.path.rpartition("/")[2] for call in asked] == ["adapter_config.json"]
    assert (tmp_path / "adapter_config.json").read_bytes() == b"{}"


def test_a_damaged_file_is_not_kept(
    client: Afinador, service: Any, published: results.HubEntry, tmp_path: Path
) -> None:
    prefix = f"{service.organization_id}/hub/bot/1/adapter_config.json"
    service.memory.storage.local_path(prefix).write_bytes(b"[]")
    with pytest.raises(StorageError, match=r"adapter_config\.json arrived with another SHA-256"):
        client.hub.download("bot", tmp_path)
    assert list(tmp_path.glob("adapter_config*")) == []
