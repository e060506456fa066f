"""The SDK against a real service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from afinador import AsyncAfinador
from afinador.client import calls, results
from afinador.errors import (
    AfinadorError,
    AuthenticationError,
    IllegalTransitionError,
    InvalidRequestError,
    NameTakenError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StorageError,
    UnknownFieldError,
    WaitTimeoutError,
)

Connect = Callable[..., Any]
Background = Callable[[Callable[[], None]], None]


def asked_by(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[calls.Call]:
    """Note what a client asks from now on."""
    asked: list[calls.Call] = []
    connection = getattr(client.connection, "_wrapped", client.connection)
    original = connection._answer

    def answer(call: calls.Call, **parts: Any) -> Any:
        asked.append(call)
        return original(call, **parts)

    monkeypatch.setattr(connection, "_answer", answer)
    return asked


def test_a_file_goes_up_and_comes_back_the_same(client: Any, dataset: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = client.files.create(dataset, on_progress=lambda done, total: seen.append((done, total)))
    assert file.sha256 == hashlib.sha256(dataset.read_bytes()).hexdigest()
    assert seen[-1] == (dataset.stat().st_size, dataset.stat().st_size)
    assert client.files.content(file.id) == dataset.read_bytes()
    assert client.files.content(file) == dataset.read_bytes()
    checked = client.files.wait(file)
    assert (checked.status, checked.records) == ("processed", 12)
    assert [listed.id for listed in client.files.list()] == [file.id]
    assert client.files.delete(file.id).deleted
    assert list(client.files.list()) == []


def test_bytes_go_up_under_a_name_and_come_down_as_a_file(client: Any, tmp_path: Path) -> None:
    content = b'{"text": "a", "label": "b"}\n' * 5000
    with pytest.raises(InvalidRequestError, match="filename"):
        client.files.create(content)
    seen: list[tuple[int, int]] = []
    file = client.files.create(content, filename="made.jsonl", on_progress=lambda *done: seen.append(done))
    assert (file.filename, seen[-1]) == ("made.jsonl", (len(content), len(content)))
    seen.clear()
    path = client.files.download(file.id, tmp_path, lambda *done: seen.append(done))
    assert (path.name, path.read_bytes()) == ("made.jsonl", content)
    assert seen[-1] == (len(content), len(content))


def test_data_sets_are_looked_at_without_being_kept(client: Any, dataset: Path) -> None:
    report = client.datasets.validate(dataset)
    assert (report.valid, report.records, report.tokens) == (True, 12, None)
    assert list(client.files.list()) == []
    file = client.files.create(b'{"prompt": 5}', filename="bad.jsonl")
    refused = client.datasets.validate(file, validation_dataset=dataset)
    assert not refused.valid and refused.errors[0].line == 1 and refused.validation.valid
    with pytest.raises(NotFoundError, match="tyni"):
        client.datasets.preview(dataset, "tyni")
    assert [kept.id for kept in client.files.list()] == [file.id]


def test_the_service_says_how_it_is(client: Any) -> None:
    assert client.health().checks["database"]["status"] == "ok"


def test_times_are_datetimes(client: Any, dataset: Path) -> None:
    file = client.files.create(dataset)
    assert abs(file.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    job = client.jobs.create(base_model="tiny", dataset=file.id)
    assert isinstance(job, results.Job)
    assert job.created_at.tzinfo is not None and job.finished_at is None


def test_a_folder_is_sent_as_an_archive_of_the_same_bytes_each_time(client: Any, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("hidden")
    (folder / "a.jsonl").write_bytes(dataset.read_bytes())
    made = [client.files.create(folder) for _ in range(2)]
    assert [file.filename for file in made] == ["letters.tar"] * 2 and made[0].sha256 == made[1].sha256
    checked = client.files.wait(made[0])
    assert checked.status == "processed" and checked.records == len(dataset.read_text().splitlines())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequestError, match="holds no files"):
        client.files.create(tmp_path / "empty")


def test_a_path_as_dataset_is_uploaded_first(client: Any, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 2}, name="mine")
    (file,) = client.files.list()
    assert job.dataset == file.id
    assert job.hyperparameters["epochs"] in (2, {"n_epochs": 2})
    assert client.jobs.get("mine").id == job.id
    assert [listed.id for listed in client.jobs.list()] == [job.id]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"hyperparameters": {"epochs": 50}}, OutOfRangeError),
        ({"base_model": "tyni"}, NotFoundError),
        ({"task": "seq2seq_lm"}, OutOfRangeError),
        ({"task": "sequence_classification", "tuning_method": "qlora"}, InvalidRequestError),
        ({"task": "sequence_classification", "hyperparameters": {"packing": True}}, InvalidRequestError),
        ({"validation_dataset": "none.jsonl"}, NotFoundError),
    ],
)
def test_a_refused_job_uploads_nothing(
    fields: dict[str, Any], error: type[AfinadorError], client: Any, dataset: Path
) -> None:
    with pytest.raises(error):
        client.jobs.create(**{"base_model": "tiny", "dataset": dataset} | fields)
    assert list(client.files.list()) == []


def test_what_was_uploaded_for_a_job_that_is_refused_then_is_deleted_again(client: Any, dataset: Path) -> None:
    client.jobs.create(base_model="tiny", dataset=dataset, name="taken")
    other = dataset.with_name("other.jsonl")
    other.write_text(dataset.read_text() + dataset.read_text())
    with pytest.raises(NameTakenError):  # which is found when the job is written down, and not before
        client.jobs.create(base_model="tiny", dataset=other, validation_dataset=dataset, name="taken")
    assert [file.filename for file in client.files.list()] == [dataset.name]


def test_what_was_uploaded_is_deleted_again_when_the_next_upload_is_interrupted(
    client: Any, dataset: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_same = import_module(f"{package}.uploads").find_same

    def interrupted(connection: Any, path: Path) -> Any:
        if path.name == "second.jsonl":
            raise KeyboardInterrupt
        return find_same(connection, path)

    monkeypatch.setattr(f"{package}.uploads.find_same", interrupted)
    second = dataset.with_name("second.jsonl")
    second.write_text(dataset.read_text())
    with pytest.raises(KeyboardInterrupt):
        client.jobs.create(base_model="tiny", dataset=dataset, validation_dataset=second)
    assert list(client.files.list()) == []


def test_the_same_bytes_go_up_once(client: Any, dataset: Path) -> None:
    first, second = (client.jobs.create(base_model="tiny", dataset=dataset) for _ in range(2))
    assert first.dataset == second.dataset and len(list(client.files.list())) == 1


def test_lists_go_over_all_pages_as_they_are_needed(
    client: Any, dataset: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{package}.paging.LARGEST_PAGE", 2)
    file = client.files.create(dataset).id
    made = [client.jobs.create(base_model="tiny", dataset=file).id for _ in range(5)]
    asked = asked_by(client, monkeypatch)
    for _, job in zip(range(2), client.jobs.list(), strict=False):
        assert job.id in made[3:]
    assert len(asked) == 1
    assert [job.id for job in client.jobs.list()] == made[::-1]
    assert len(asked) == 1 + 3
    assert [job.id for job in client.jobs.list().first(3)] == made[::-1][:3]


def test_lists_are_ordered_and_filtered_as_asked(client: Any, dataset: Path) -> None:
    first, second = (client.files.create(b'{"text": "a"}', filename=f"{name}.jsonl").id for name in "ab")
    assert [file.id for file in client.files.list(order="asc")] == [first, second]
    assert [file.id for file in client.files.list(order="desc")] == [second, first]
    marked = client.jobs.create(base_model="tiny", dataset=dataset, metadata={"team": "a"}).id
    plain = client.jobs.create(base_model="tiny", dataset=dataset).id
    assert [job.id for job in client.jobs.list(metadata={"team": "a"})] == [marked]
    assert [job.id for job in client.jobs.list(metadata="null")] == [plain]
    assert {model.type for model in client.models.list(type="base")} == {"base"}


def test_wait_returns_the_job_as_it_ended(client: Any, service: Any, dataset: Path, in_background: Background) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset)
    client.files.wait(job.dataset)
    in_background(lambda: service.end_job(job.id, service.run_job(job.id)))
    ended = client.jobs.wait(job, poll_seconds=0.05, timeout_seconds=20)
    assert ended.status == "succeeded" and ended.has_ended
    assert ended.metrics["tuned"]["loss"] == 0.4
    assert [row["train_loss"] for row in client.jobs.metrics(job.id)] == [2.0, 1.0]


def test_waits_go_on_side_by_side(service: Any, dataset: Path) -> None:
    async def wait_for_all() -> list[str]:
        async with AsyncAfinador(service.url, service.key) as client:
            jobs = [await client.jobs.create(base_model="tiny", dataset=dataset) for _ in range(3)]
            waits = [asyncio.create_task(client.jobs.wait(job, poll_seconds=0.05)) for job in jobs]
            await asyncio.sleep(0.2)
            assert not any(wait.done() for wait in waits)
            waits[2].cancel()
            for job in jobs[:2]:
                await client.jobs.cancel(job)
            ended = await asyncio.gather(*waits, return_exceptions=True)
            assert isinstance(ended[2], asyncio.CancelledError)
            return [job.status for job in ended[:2] if isinstance(job, results.Job)]

    assert asyncio.run(wait_for_all()) == ["cancelled", "cancelled"]


def test_waiting_ends_at_its_time(client: Any, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, name="slow")
    client.files.wait(job.dataset)
    with pytest.raises(
        WaitTimeoutError, match=r"has not ended after 0\.1 s: it is queued, and it still waits"
    ) as caught:
        client.jobs.wait(job.id, timeout_seconds=0.1, poll_seconds=0.02)
    assert isinstance(caught.value, TimeoutError) and caught.value.code == "timeout"
    client.jobs.pause(job.id)
    with pytest.raises(TimeoutError, match=r"'slow' .*: it is paused, and it goes on only when it is resumed"):
        client.jobs.wait("slow", timeout_seconds=0.1, poll_seconds=0.02)


def test_events_stream_once_each_oldest_first(
    client: Any, service: Any, dataset: Path, in_background: Background
) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset)
    client.files.wait(job.dataset)
    attempt = service.run_job(job.id, losses=tuple(range(150)))
    in_background(lambda: service.end_job(job.id, attempt))
    streamed = [event.id for event in client.jobs.events(job, follow=True)]
    assert len(streamed) > 150
    newest_first = [event.id for event in client.jobs.events(job.id, follow=False)]
    assert streamed == newest_first[::-1]
    assert [event.id for event in client.jobs.events(job, follow=True, after=streamed[-3])] == streamed[-2:]
    assert [event.id for event in client.jobs.events(job, after=streamed[2])] == newest_first[-2:]


def test_cancelling_an_ended_job_is_refused_as_such(client: Any, service: Any, dataset: Path) -> None:
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
    client: Any, dataset: Path, attempt: Callable[[Any], object], kind: type[Exception], words: str
) -> None:
    client.files.create(dataset)
    with pytest.raises(kind, match=words):
        attempt(client)


def test_a_value_out_of_range_names_field_and_range(client: Any, dataset: Path) -> None:
    with pytest.raises(OutOfRangeError, match="from 1 to 10") as raised:
        client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 50})
    assert raised.value.param == "hyperparameters.epochs"


def test_keys_decide_what_is_allowed(
    connect: Connect, service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(service.url) as nobody, pytest.raises(AuthenticationError, match="AFINADOR_API_KEY"):
        nobody.jobs.list().first(1)
    with connect(service.url, "af-wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.jobs.list().first(1)
    with connect(service.url, service.key) as member, pytest.raises(PermissionDeniedError):
        member.organizations.list().first(1)


def test_the_operator_makes_organizations_and_keys(connect: Connect, client: Any, service: Any) -> None:
    made = client.organizations.create(f"{service.organization}-b")
    assert made.id in [each.id for each in client.organizations.list()]
    changed = client.organizations.update(made, concurrency_limit=2)
    assert (changed.concurrency_limit, changed.priority) == (2, 0)
    key = client.api_keys.create(made.name, "laptop")
    assert key.key
    assert [(each.id, each.name, each.key) for each in client.api_keys.list(made)] == [(key.id, "laptop", None)]
    with connect(service.url, key.key) as theirs:
        assert list(theirs.jobs.list()) == []
        assert client.api_keys.delete(key.id).deleted
        with pytest.raises(AuthenticationError):
            theirs.jobs.list().first(1)


def test_specs_are_saved_listed_and_deleted(client: Any, dataset: Path) -> None:
    client.files.create(dataset)
    saved = client.job_specs.create("nightly", {"base_model": "tiny", "dataset": dataset.name}, retrain_on_update=False)
    assert saved.created_at.tzinfo is not None and not saved.retrain_on_update
    assert [spec.name for spec in client.job_specs.list()] == ["nightly"]
    assert client.job_specs.get(saved.id) == client.job_specs.get("nightly") == saved
    assert client.job_specs.delete("nightly").deleted
    with pytest.raises(NotFoundError, match="no job spec 'nightly'"):
        client.job_specs.get("nightly")


def test_models_are_registered_listed_and_deleted(client: Any, service: Any) -> None:
    folder = service.models / service.organization
    model = client.models.wait(client.models.create("second", str(folder)).id)
    assert (model.status, model.type, model.parameters) == ("ready", "base", 16)
    assert {each.name for each in client.models.list()} >= {"tiny", "second"}
    assert client.models.delete("second").deleted
    with pytest.raises(NotFoundError):
        client.models.get("second")


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
