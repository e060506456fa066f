"""Lists, waits and streams of a real service: page by page, side by side, and each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador import AsyncAfinador
from afinador.client import results
from afinador.errors import WaitTimeoutError
from tests.afinador.client.noted_calls import asked_by

Background = Callable[[Callable[[], None]], None]


def test_lists_go_over_all_pages_as_they_are_needed(
    client: Any, dataset: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{package}.paging.LARGEST_PAGE", 2)
    file = client.files.create(dataset).id
    made = [client.jobs.create(base_model="tiny", dataset=file).id for _ in range(5)]
    asked = asked_by(client, monkeypatch)
    assert next(iter(client.jobs.list())).id == made[-1]
    assert len(asked) == 1
    assert [job.id for job in client.jobs.list()] == made[::-1]
    assert len(asked) == 1 + 3
    assert [job.id for job in client.jobs.list().first(3)] == made[::-1][:3]
    assert len(asked) == 1 + 3 + 2


def test_what_a_list_shows_may_be_deleted_while_it_goes_on(
    client: Any, dataset: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{package}.paging.LARGEST_PAGE", 2)
    file = client.files.create(dataset)
    specs = [client.job_specs.create(f"spec-{n}", {"base_model": "tiny", "dataset": file.id}).id for n in range(5)]
    assert [client.job_specs.delete(spec).id for spec in client.job_specs.list()] == specs[::-1]
    assert list(client.job_specs.list()) == []
    files = [file.id, *(client.files.create(b'{"text": "a"}', filename=f"{n}.jsonl").id for n in range(4))]
    assert [client.files.delete(each).id for each in client.files.list()] == files[::-1]
    assert list(client.files.list()) == []


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
