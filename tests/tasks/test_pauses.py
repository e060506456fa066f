"""A pause in any phase of a job takes effect at the next safe place; a publication that has begun is completed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from registry import jobs
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.publishing.hub_publishing import version_of
from tasks import artifacts, ending, following, publish, validate
from tasks.attempt import Attempt, StopRequestedError
from tasks.evaluate import evaluate
from tasks.load_model import load_model
from tasks.save_checkpoint import save_checkpoint
from tasks.train import train
from tests.tasks.conftest import Create
from tests.tasks.test_run_directory import claimed, told

TIMEOUT_SECONDS = 120


class Untasked:
    """A task without Prefect."""

    def __init__(self, task: Any) -> None:
        self.fn = task.fn

    def __call__(self, *given: Any) -> Any:
        return self.fn(*given)


@pytest.fixture(autouse=True)
def _without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "save_checkpoint", Untasked(save_checkpoint))
    for name in ("show_progress", "show_losses", "show_comparison", "show_data", "show_run", "show_links"):
        monkeypatch.setattr(artifacts, name, lambda *_: None)


def ask(memory: Memory, job: Job, request: Any) -> None:
    with memory.database.session() as session:
        request(session, job.organization_id, job.id)


def run(attempt: Attempt) -> str | None:
    """Do what the flow does with one attempt, and return how it ended."""
    with attempt:
        try:
            validate.validate_dataset.fn(attempt)
            follower = load_model.fn(attempt)
            train.fn(attempt, follower)
            evaluate.fn(attempt, follower)
            publish.publish.fn(attempt, follower)
        except StopRequestedError as stop:
            return ending.stopped(attempt, stop.request)
    return attempt.job().status


@contextmanager
def paused_in(memory: Memory, job: Job, attempt: Attempt, state: str) -> Iterator[None]:
    """Pause the job as soon as its training process says that it is in a state."""
    end = time.monotonic() + TIMEOUT_SECONDS

    def watch() -> None:
        while time.monotonic() < end:
            status = attempt.run.status() or {}
            if status.get("attempt") == attempt.number and status.get("state") == state:
                return ask(memory, job, jobs.request_pause)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    watcher.join()


def asking(memory: Memory, job: Job, attempt: Attempt, action: Callable[..., Any]) -> Callable[..., Any]:
    """Return an action in whose midst somebody pauses the job, so that the attempt hears of it before it is over."""

    def act(*given: Any, **more: Any) -> Any:
        ask(memory, job, jobs.request_pause)
        while attempt.request is None:
            time.sleep(0.01)
        return action(*given, **more)

    return act


def test_a_job_is_paused_in_each_phase_but_a_publication_is_completed(
    memory: Memory, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"generation_examples": 4, "generation_max_new_tokens": 24}
    job = create(output_model="sums", validation_file="train.jsonl", settings=settings)
    reached = {}
    for phase in ("validation", "loading", "evaluating"):
        attempt = claimed(job)
        if phase == "validation":
            with monkeypatch.context() as patched:
                patched.setattr(validate, "check_dataset", asking(memory, job, attempt, validate.check_dataset))
                assert run(attempt) == "paused"
        else:
            with paused_in(memory, job, attempt, phase):
                assert run(attempt) == "paused", phase
        reached[phase] = (attempt.run.status() or {}).get("state")
        assert version_of(memory, job.organization_id, attempt.spec.output.alias) is None
        ask(memory, job, jobs.request_resume)
    assert reached["validation"] is None, "no process was started"

    last = claimed(job)
    with monkeypatch.context() as patched:
        patched.setattr(publish, "publish_to_hub", asking(memory, job, last, publish.publish_to_hub))
        assert run(last) == "succeeded", "what has begun to be published is published"
    messages = [event.message for event in told(memory, job)]
    assert sum(message.startswith("The job is paused") for message in messages) == 3
    assert sum(message.startswith("Published") for message in messages) == 1
