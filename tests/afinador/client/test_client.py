"""The SDK against a real service: its errors, who may do what, and what it does beside files and jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from afinador.client import results
from afinador.errors import (
    AuthenticationError,
    IllegalTransitionError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    UnknownFieldError,
)

Connect = Callable[..., Any]


def test_the_service_says_how_it_is(client: Any) -> None:
    assert client.health().checks["database"]["status"] == "ok"


def test_times_are_datetimes(client: Any, dataset: Path) -> None:
    file = client.files.create(dataset)
    assert abs(file.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    job = client.jobs.create(base_model="tiny", dataset=file.id)
    assert isinstance(job, results.Job)
    assert job.created_at.tzinfo is not None and job.finished_at is None


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
