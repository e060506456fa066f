"""Saved job specs, and the jobs that schedules make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import AfinadorError, NameTakenError, NotFoundError, StorageError
from registry import jobs
from registry.job_life import job_attempts
from registry.ledger.tables import BaseModel, Job, Organization
from registry.memory import Memory
from registry.prefect_runs import submissions
from registry.specs import job_specs
from tests.registry.specs.saved_specs import OTHER_ROWS, all_jobs, delete_file, messages, save, start

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def test_a_saved_spec_keeps_the_request_in_one_set_of_names(ready: Workshop, acme: Organization) -> None:
    spec = save(ready, acme, hyperparameters={"epochs": 2}, tags=["a"])
    with ready.memory.database.reading() as session:
        found = job_specs.to_wire(job_specs.get(session, acme.id, "nightly"))
        assert job_specs.get(session, acme.id, spec.id).name == "nightly"
    assert found.request == {
        "model": "tiny-llama",
        "training_file": "train.jsonl",
        "output_model": "bot",
        "hyperparameters": {"epochs": 2},
        "tags": ["a"],
    }
    assert found.retrain_on_update is True


@pytest.mark.parametrize(
    ("changed", "param", "said"),
    [
        ({"epoch": 3}, "request.epoch", "no field"),
        ({"hyperparameters": {"epochs": 11}}, "request.hyperparameters.epochs", "from 1 to 10"),
        ({"dataset": "trian.jsonl"}, "request.training_file", "train.jsonl"),
        ({"base_model": "tiny-lama"}, "request.model", "tiny-llama"),
        ({"validation_dataset": "nothing.csv"}, "request.validation_file", "nothing.csv"),
        ({"name": "always-the-same"}, "request.name", "leave 'name' out"),
    ],
)
def test_what_a_job_would_be_refused_for_is_not_saved(
    ready: Workshop, acme: Organization, changed: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(AfinadorError) as caught:
        save(ready, acme, **changed)
    assert (caught.value.param, said in caught.value.message) == (param, True), caught.value.message
    with ready.memory.database.reading() as session:
        assert job_specs.list_page(session, acme.id)[0] == []


def test_a_name_in_use_is_refused_and_free_again_after_deletion(
    ready: Workshop, acme: Organization, globex: Organization
) -> None:
    save(ready, acme)
    with pytest.raises(NameTakenError, match="delete it first"):
        save(ready, acme, output_model="other")
    ready.base_model(globex)
    ready.upload(globex)
    assert save(ready, globex).organization_id == globex.id
    with ready.memory.database.session() as session:
        job_specs.delete(session, acme.id, "nightly")
        with pytest.raises(
            NotFoundError, match="no job spec 'nightly' in this organization; `afinador list job-spec` shows"
        ):
            job_specs.get(session, acme.id, "nightly")
        assert job_specs.get(session, globex.id, "nightly").organization_id == globex.id
    assert save(ready, acme, output_model="other").request["output_model"] == "other"


def test_a_job_of_a_spec_takes_the_newest_version_and_says_where_it_comes_from(
    ready: Workshop, acme: Organization
) -> None:
    spec = save(ready, acme)
    newest = ready.upload(acme, rows=OTHER_ROWS)
    started = start(ready, acme, spec)
    assert started.is_new and started.job.training_file_id == newest.id
    assert (started.job.status, started.job.job_spec, started.job.output_model) == ("queued", "nightly", "bot")
    assert jobs.to_wire(started.job).job_spec == "nightly"
    assert "Made by a test" in messages(ready, started.job)


def test_while_a_job_for_the_same_data_waits_no_second_one_is_made(ready: Workshop, acme: Organization) -> None:
    spec = save(ready, acme)
    first, second = start(ready, acme, spec), start(ready, acme, spec)
    assert (second.job.id, second.is_new) == (first.job.id, False)
    assert start(ready, acme, save(ready, acme, "other")).is_new, "another spec's job is another job"


def test_a_schedule_trains_again_on_the_same_data_once_the_job_has_begun(
    ready: Workshop, acme: Organization, claim: Any
) -> None:
    spec = save(ready, acme)
    claim(start(ready, acme, spec).job.id)
    assert not start(ready, acme, spec, once=True).is_new
    assert start(ready, acme, spec).is_new


def test_a_waiting_job_for_older_data_gives_way_to_the_newest(
    ready: Workshop, acme: Organization, claim: Any, stored: Any
) -> None:
    spec = save(ready, acme)
    running, waiting = start(ready, acme, spec).job, None
    claim(running.id)
    ready.upload(acme, rows=OTHER_ROWS)
    waiting = start(ready, acme, spec).job
    ready.upload(acme, rows=OTHER_ROWS[:10])
    newest = start(ready, acme, spec)
    assert [job.id for job in newest.superseded] == [waiting.id]
    assert stored(waiting.id).status == "cancelled" and stored(running.id).status == "running"
    assert any(newest.job.name in message for message in messages(ready, waiting))


def test_a_spec_that_names_a_deleted_file_leaves_a_failed_job_that_says_why(
    ready: Workshop, acme: Organization, memory: Memory
) -> None:
    spec = save(ready, acme)
    delete_file(ready, acme, "train.jsonl")
    started = start(ready, acme, spec)
    answered = jobs.to_wire(started.job)
    assert answered.status == "failed" and answered.error is not None
    assert answered.error.code == "file_not_found" and answered.error.param == "training_file"
    assert "'nightly' cannot be run" in answered.error.message and "train.jsonl" in answered.error.message
    assert messages(ready, started.job) == [answered.error.message]
    with memory.database.session() as session:
        retried = job_attempts.claim(
            session, started.job.id, flow_run_id="r", process_id=1, process_started_at=1.0, host="h"
        )
    assert retried is None, "it has no specification that could be run"


def test_a_schedule_that_fails_again_for_the_same_reason_makes_no_further_job(
    ready: Workshop, acme: Organization, memory: Memory
) -> None:
    spec = save(ready, acme, hyperparameters={"epochs": 9})
    delete_file(ready, acme, "train.jsonl")
    told = [start(ready, acme, spec) for _ in range(3)]
    assert [each.is_new for each in told] == [True, False, False]
    assert len({each.job.id for each in told}) == 1 == len(all_jobs(ready, acme))
    memory.operator["limits"] = {"epochs": {"maximum": 5}}
    other = start(ready, acme, spec)
    assert other.is_new and "from 1 to 5" in other.job.error["message"]
    del memory.operator["limits"]
    assert start(ready, acme, spec).is_new, "the reason is another one than that of the job before"
    ready.upload(acme)
    assert start(ready, acme, spec).job.status == "queued"


def test_a_spec_whose_base_model_is_gone_or_whose_range_has_changed_fails_likewise(
    ready: Workshop, acme: Organization, memory: Memory
) -> None:
    spec = save(ready, acme, hyperparameters={"epochs": 9})
    memory.operator["limits"] = {"epochs": {"maximum": 5}}
    narrowed = start(ready, acme, spec).job
    del memory.operator["limits"]
    with memory.database.session() as session:
        session.query(BaseModel).delete()
    gone = start(ready, acme, spec).job
    assert narrowed.status == gone.status == "failed"
    assert "from 1 to 5" in narrowed.error["message"] and "tiny-llama" in gone.error["message"]


def test_a_spec_that_cannot_be_run_is_told_as_it_was_asked_for_and_nothing_is_added(
    ready: Workshop, acme: Organization
) -> None:
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 9}}}
    in_words = save(ready, acme, "in-words", method=method, config={"warmup_steps": 7, "max_attempts": 2}, seed=5)
    bare = save(ready, acme, "bare")
    delete_file(ready, acme, "train.jsonl")
    answered = jobs.to_wire(start(ready, acme, in_words).job)
    assert answered.hyperparameters == {"warmup_steps": 7, "max_attempts": 2, "n_epochs": 9}
    assert answered.spec["sources"] == {
        "warmup_steps": "file",
        "max_attempts": "file",
        "n_epochs": "request",
        "seed": "request",
    }
    assert (answered.method, answered.seed) == (method, 5)
    answered = jobs.to_wire(start(ready, acme, bare).job)
    assert answered.hyperparameters == {}
    assert answered.spec == {"hyperparameters": {}, "sources": {}}


def test_a_passing_fault_leaves_no_failed_job(
    ready: Workshop, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = save(ready, acme)

    def away(*_: object, **__: object) -> None:
        raise StorageError("The storage does not answer.")

    monkeypatch.setattr(jobs, "create", away)
    with pytest.raises(StorageError, match="does not answer"):
        start(ready, acme, spec)
    assert all_jobs(ready, acme) == []


def test_a_submission_finds_its_job_again_but_not_one_that_failed_before_it_began(
    ready: Workshop, acme: Organization, globex: Organization, memory: Memory
) -> None:
    good = start(ready, acme, save(ready, acme)).job
    ready.upload(acme, "gone.jsonl")
    orphan = save(ready, acme, "orphan", dataset="gone.jsonl")
    delete_file(ready, acme, "gone.jsonl")
    bad = start(ready, acme, orphan).job
    assert bad.status == "failed"
    with memory.database.session() as session:
        for job, run_id in ((good, "run-1"), (bad, "run-2")):
            session.get_one(Job, job.id).submission_run_id = run_id
    with memory.database.reading() as session:
        found = submissions.job_of(session, acme.id, "run-1")
        assert found is not None and found.id == good.id
        assert submissions.job_of(session, acme.id, "run-2") is None
        assert submissions.job_of(session, globex.id, "run-1") is None
