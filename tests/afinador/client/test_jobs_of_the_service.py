"""A job's life and all that is kept of it, through the SDK; and that no method of the SDK is called by no test."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador import Afinador
from afinador.client import results
from afinador.client.nouns import Noun
from afinador.errors import IllegalTransitionError, InvalidRequestError, NotFoundError

HERE = Path(__file__).parent


@pytest.fixture
def job(client: Any, dataset: Path) -> results.Job:
    """A job that waits to be run."""
    made = client.jobs.create(base_model="tiny", dataset=dataset, name="mine")
    client.files.wait(made.dataset)
    return client.jobs.get(made)


def test_a_job_is_paused_resumed_and_not_when_it_has_ended(client: Any, service: Any, job: results.Job) -> None:
    assert client.jobs.pause(job).status == "paused"
    assert client.jobs.resume("mine").status == "queued"
    assert client.jobs.resume(job).status == "queued", "one that waits is left as it is"
    attempt = service.run_job(job.id)
    assert client.jobs.pause(job).status == "pausing"
    service.end_job(job.id, attempt)
    for refused in (client.jobs.pause, client.jobs.resume):
        with pytest.raises(IllegalTransitionError, match="has succeeded"):
            refused(job)


def test_proofs_are_asked_for_and_listed(client: Any, service: Any, job: results.Job) -> None:
    asked = client.jobs.verify_resume(job, steps=6)
    assert isinstance(asked, results.Certificate)
    assert (asked.type, asked.status, asked.job_id) == ("resume", "queued", job.id)
    with pytest.raises(InvalidRequestError, match="only a published one"):
        client.jobs.reproduce("mine")
    with pytest.raises(InvalidRequestError, match="steps"):
        client.jobs.verify_resume(job, steps=1)
    assert [kept.id for kept in client.jobs.certificates(job)] == [asked.id]


def test_curves_resources_log_and_report_are_those_of_the_job(
    client: Any, service: Any, job: results.Job, in_background: Callable[[Callable[[], None]], None]
) -> None:
    folder = service.memory.settings.runs_dir / job.id
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("first\nsecond\n")
    (folder / "resources.jsonl").write_text('{"timestamp_ms": 5, "cpu_percent": 99.5, "memory_bytes": 7}\n')
    attempt = service.run_job(job.id)
    assert client.jobs.logs(job) == "first\nsecond\n"
    assert client.jobs.resources("mine") == [{"timestamp_ms": 5, "cpu_percent": 99.5, "memory_bytes": 7}]
    page = client.jobs.report(job)
    assert page.startswith("<!doctype html>") and "mine" in page
    in_background(lambda: service.end_job(job.id, attempt))
    assert list(client.jobs.log_lines(job)) == ["first", "second"]
    for ask in (client.jobs.logs, client.jobs.resources, client.jobs.report, client.jobs.certificates):
        with pytest.raises(NotFoundError, match="nobody"):
            list(ask("nobody"))


def test_checkpoints_are_listed_with_their_figures(client: Any, service: Any, job: results.Job) -> None:
    service.keep_checkpoint(job.id, 500, {"adapter_config.json": b"{}"})
    (kept,) = client.jobs.checkpoints(job)
    assert (kept.step_number, kept.metrics["train_loss"]) == (500, 1.0)
    with pytest.raises(NotFoundError, match="by step: 500"):
        client.jobs.publish_checkpoint(job, 7, output_model="early")


def test_each_method_is_called_by_a_test_of_this_folder() -> None:
    client = Afinador("http://service.test", "af-key")
    nouns = {name: noun for name, noun in vars(client).items() if isinstance(noun, Noun)}
    methods = {f"{name}.{method}" for name, noun in nouns.items() for method in public(noun)}
    methods |= set(public(client))
    client.close()
    written = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    called = {method for method in methods if re.search(rf"\b(client|theirs)\.{method}\b", written)}
    assert methods - called == set()
    assert len(methods) > 45, "the nouns were found"


def public(thing: object) -> list[str]:
    return [name for name, _ in inspect.getmembers(thing, inspect.ismethod) if name[0] != "_"]
