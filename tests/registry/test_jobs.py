"""Jobs: look-up, lists, cancelling, and how they are answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import IllegalTransitionError, InvalidRequestError, NotFoundError, OutOfRangeError
from registry import jobs
from registry.job_life import events
from registry.ledger.tables import Job, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Claim, Workshop


def cancel(memory: Memory, organization: Organization, job: str) -> Job:
    with memory.database.session() as session:
        return jobs.request_cancel(session, organization.id, job)


def end(memory: Memory, job: Job, status: Any, **more: Any) -> None:
    with memory.database.session() as session:
        assert jobs.finish(session, job.id, job.attempt, status, **more)


def test_job_answers_to_id_and_name(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, name="first-try")
    with ready.memory.database.reading() as session:
        assert jobs.get(session, acme.id, job.id).id == job.id
        assert jobs.get(session, acme.id, "first-try").id == job.id
        with pytest.raises(NotFoundError, match="Did you mean 'first-try'") as caught:
            jobs.get(session, acme.id, "first-tri")
        assert caught.value.code == "job_not_found"


def test_id_wins_over_a_name_that_looks_like_one(ready: Workshop, acme: Organization) -> None:
    first = ready.job(acme)
    ready.job(acme, name=first.id)
    with ready.memory.database.reading() as session:
        assert jobs.get(session, acme.id, first.id).name == first.name


def test_pages_are_newest_first_and_cover_everything(ready: Workshop, acme: Organization) -> None:
    made = [ready.job(acme).id for _ in range(5)]
    with ready.memory.database.reading() as session:
        first, has_more = jobs.list_page(session, acme.id, limit=3)
        rest, has_still_more = jobs.list_page(session, acme.id, limit=3, after=first[-1].id)
        assert [job.id for job in first + rest] == made[::-1]
        assert (has_more, has_still_more) == (True, False)
        exact, more_than_all = jobs.list_page(session, acme.id, limit=5)
        assert len(exact) == 5 and not more_than_all
        with pytest.raises(InvalidRequestError, match="ftjob-nobody"):
            jobs.list_page(session, acme.id, after="ftjob-nobody")
        for limit in (0, 101):
            with pytest.raises(OutOfRangeError, match="1 to 100"):
                jobs.list_page(session, acme.id, limit=limit)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"stage": "test"}, ["a"]),
        ({"stage": "test", "team": "x"}, []),
        ({"odd [key] here": "1"}, ["b"]),
        ({"empty": ""}, ["b"]),
        ({"stage": ""}, []),
        ("null", ["c"]),
        (None, ["c", "b", "a"]),
        ({}, ["c", "b", "a"]),
    ],
)
def test_metadata_filter_matches_all_given_pairs(
    ready: Workshop, acme: Organization, wanted: Any, found: list[str]
) -> None:
    ready.job(acme, name="a", metadata={"stage": "test"})
    ready.job(acme, name="b", metadata={"stage": "production", "odd [key] here": "1", "empty": ""})
    ready.job(acme, name="c")
    with ready.memory.database.reading() as session:
        rows, _ = jobs.list_page(session, acme.id, metadata=wanted)
    assert [row.name for row in rows] == found


def test_metadata_key_with_a_quote_is_refused_as_a_filter(ready: Workshop, acme: Organization) -> None:
    with ready.memory.database.reading() as session, pytest.raises(InvalidRequestError, match="quote"):
        jobs.list_page(session, acme.id, metadata={'a"b': "c"})


def test_status_filter_understands_other_words(ready: Workshop, acme: Organization) -> None:
    done = ready.running_job(acme, name="done")
    end(ready.memory, done, "succeeded")
    ready.job(acme, name="waiting")
    with ready.memory.database.reading() as session:

        def names(status: str) -> list[str]:
            return [row.name for row in jobs.list_page(session, acme.id, status=status)[0]]

        assert names("pending") == names("queued") == ["waiting"]
        assert names("completed") == names("succeeded") == ["done"]
        assert names("failed") == []
        with pytest.raises(InvalidRequestError, match="allowed are: validating_files"):
            names("finished")


def test_waiting_job_is_cancelled_at_once_and_twice_is_once(ready: Workshop, acme: Organization) -> None:
    job = cancel(ready.memory, acme, ready.job(acme).id)
    assert job.status == "cancelled" and job.finished_at is not None
    again = cancel(ready.memory, acme, job.id)
    assert (again.status, again.finished_at) == ("cancelled", job.finished_at)
    with ready.memory.database.reading() as session:
        rows, _ = events.list_page(session, acme.id, job.id)
    assert [row.message for row in rows].count("The job was cancelled") == 1


def test_running_job_is_asked_to_stop(ready: Workshop, acme: Organization) -> None:
    job = ready.running_job(acme)
    for _ in range(2):
        asked = cancel(ready.memory, acme, job.id)
        assert (asked.status, asked.request_state) == ("running", "cancel")
    with ready.memory.database.reading() as session:
        seen = jobs.look(session, job.id)
        rows, _ = events.list_page(session, acme.id, job.id)
    assert seen == jobs.Look(attempt=1, status="running", request_state="cancel")
    assert sum("Cancel requested" in row.message for row in rows) == 1


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_ended_job_cannot_be_cancelled(ready: Workshop, acme: Organization, status: str) -> None:
    job = ready.running_job(acme)
    end(ready.memory, job, status)
    with pytest.raises(IllegalTransitionError, match=f"has {status}"):
        cancel(ready.memory, acme, job.id)


def test_open_jobs_and_those_without_a_run_are_listed_for_housekeeping(
    ready: Workshop, acme: Organization, claim: Claim
) -> None:
    fresh, submitted, running, ended = (ready.job(acme, name=name) for name in "abcd")
    with ready.memory.database.session() as session:
        jobs.set_fields(session, submitted.id, 0, flow_run_id="run", turn_at=1.0)
    claim(running.id)
    cancel(ready.memory, acme, ended.id)
    with ready.memory.database.reading() as session:
        assert [job.id for job in jobs.open_jobs(session)] == [fresh.id, submitted.id, running.id]
        assert [job.id for job in jobs.waiting_for_submission(session)] == [fresh.id]
        assert jobs.waiting_with_file(session, fresh.training_file_id) == [fresh.id]
        assert jobs.waiting_with_file(session, "file-other") == jobs.due_for_submission(session) == []
    with ready.memory.database.session() as session:
        jobs.set_fields(session, fresh.id, 0, turn_at=1.0)
    with ready.memory.database.reading() as session:
        assert [(job.id, job.name) for job in jobs.due_for_submission(session)] == [(fresh.id, "a")]


def test_new_job_is_answered_in_openais_shape(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, hyperparameters={"learning_rate": 1e-4, "batch_size": "auto"}, metadata={"a": "b"})
    answer = jobs.to_wire(job).model_dump()
    nulls = ("error", "finished_at", "fine_tuned_model", "trained_tokens", "validation_file", "estimated_finish")
    assert [answer[key] for key in nulls] == [None] * len(nulls)
    assert answer["object"] == "fine_tuning.job"
    assert answer["result_files"] == []
    assert answer["model"] == answer["base_model"] == "tiny-llama"
    assert answer["training_file"] == answer["dataset"] == job.training_file_id
    assert answer["metadata"] == {"a": "b"}
    assert answer["integrations"] is None
    assert isinstance(answer["created_at"], int)
    numbers = {"n_epochs": 3, "batch_size": 32, "learning_rate_multiplier": 2.0}
    assert answer["method"] == {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    assert answer["hyperparameters"].items() >= (numbers | {"epochs": 3, "learning_rate": 1e-4}).items()
    assert None not in answer["hyperparameters"].values()
    assert answer["spec"]["job_id"] == job.id


def test_learning_rate_multiplier_is_answered_as_it_was_given(ready: Workshop, acme: Organization) -> None:
    answer = jobs.to_wire(ready.job(acme, hyperparameters={"learning_rate_multiplier": 0.3}))
    assert answer.hyperparameters["learning_rate_multiplier"] == 0.3
    assert math.isclose(answer.hyperparameters["learning_rate"], 0.3 * 5e-5)


def test_fine_tuned_model_is_answered_only_when_the_job_has_succeeded(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    alias = job.spec["output"]["alias"]
    with ready.memory.database.session() as session:
        jobs.set_fields(session, job.id, 1, fine_tuned_model=alias, result_files=["file-1"], trained_tokens=99)
    assert jobs.to_wire(stored(job.id)).fine_tuned_model is None
    end(ready.memory, job, "succeeded")
    answer = jobs.to_wire(stored(job.id))
    assert (answer.fine_tuned_model, answer.result_files, answer.trained_tokens) == (alias, ["file-1"], 99)
    assert answer.error is None and answer.finished_at is not None


def test_failed_job_is_answered_with_its_reason(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    reason = {"code": "out_of_memory", "message": "Out of memory; use a smaller micro_batch_size.", "param": None}
    end(ready.memory, job, "failed", error=reason)
    answer = jobs.to_wire(stored(job.id))
    assert answer.error is not None and answer.error.model_dump() == reason
    with ready.memory.database.reading() as session:
        newest = events.list_page(session, acme.id, job.id)[0][0]
    assert newest.level == "error" and "smaller micro_batch_size" in newest.message


def test_finish_is_estimated_while_the_job_runs(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    job = ready.running_job(acme)
    with ready.memory.database.session() as session:
        jobs.set_progress(session, job.id, 1, {"step": 1, "eta_seconds": 90.0})
    row = stored(job.id)
    assert row.heartbeat_at is not None
    assert jobs.to_wire(row).estimated_finish == int(row.heartbeat_at + 90)
    end(ready.memory, job, "succeeded")
    assert jobs.to_wire(stored(job.id)).estimated_finish is None
