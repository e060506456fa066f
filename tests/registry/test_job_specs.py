"""Saved job specs, the jobs that are made of them, and what Prefect is told of new versions of files."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import AfinadorError, NameTakenError, NotFoundError, ServiceUnavailableError, StorageError
from afinador.schemas.job_specs import JobSpecRequest
from registry import dataset_updates, events, files, job_attempts, job_specs, jobs, spec_jobs, submissions
from registry.memory import Memory
from registry.spec_jobs import Started
from registry.tables import BaseModel, DatasetUpdate, File, Job, JobSpec, Organization

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

OTHER_ROWS = [{"prompt": f"Q{n}", "completion": f"A{n}"} for n in range(20)]


def save(workshop: Workshop, organization: Organization, name: str = "nightly", /, **changed: Any) -> JobSpec:
    retrains = changed.pop("retrain_on_update", True)
    body = {"base_model": "tiny-llama", "dataset": "train.jsonl", "output_model": "bot"} | changed
    wanted = JobSpecRequest(name=name, request=body, retrain_on_update=retrains)
    with workshop.memory.database.session() as session:
        return job_specs.create(session, workshop.memory, organization, wanted)


def start(workshop: Workshop, organization: Organization, spec: JobSpec, *, once: bool = False) -> Started:
    with workshop.memory.database.session() as session:
        return spec_jobs.start(session, workshop.memory, organization, spec, "Made by a test", once=once)


def retrain(
    workshop: Workshop, organization: Organization, filename: str = "train.jsonl", version: int = 2
) -> list[Started]:
    with workshop.memory.database.session() as session:
        return spec_jobs.retrain(session, workshop.memory, organization, filename, version)


def all_jobs(workshop: Workshop, organization: Organization) -> list[Job]:
    with workshop.memory.database.reading() as session:
        return jobs.list_page(session, organization.id, limit=100)[0]


def messages(workshop: Workshop, job: Job) -> list[str]:
    with workshop.memory.database.reading() as session:
        return [row.message for row in events.list_page(session, job.organization_id, job.id, limit=100)[0]]


def delete_file(workshop: Workshop, organization: Organization, reference: str) -> None:
    with workshop.memory.database.session() as session:
        files.delete(session, workshop.memory, organization.id, reference)


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
        with pytest.raises(NotFoundError, match="no job spec 'nightly'"):
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


def test_a_new_version_starts_the_specs_that_give_the_file_by_name(ready: Workshop, acme: Organization) -> None:
    first_id = files_of(ready, acme)[0].id
    save(ready, acme, "by-name")
    save(ready, acme, "without-extension", dataset="train")
    save(ready, acme, "pinned", dataset=first_id)
    save(ready, acme, "unwilling", retrain_on_update=False)
    ready.upload(acme, "held-out.jsonl")
    save(ready, acme, "validates", dataset="held-out", validation_dataset="train.jsonl")
    ready.upload(acme, rows=OTHER_ROWS)
    started = retrain(ready, acme)
    assert {each.job.job_spec for each in started} == {"by-name", "without-extension", "validates"}
    assert all(each.is_new for each in started)
    for each in started:
        said = f"Made from the saved spec '{each.job.job_spec}', because 'train.jsonl' has a new version (2)"
        assert said in messages(ready, each.job)


def test_the_version_that_is_told_is_the_one_that_is_trained_on(ready: Workshop, acme: Organization) -> None:
    save(ready, acme)
    for row in OTHER_ROWS[:3]:
        ready.upload(acme, rows=[*OTHER_ROWS, row])
    (started,) = retrain(ready, acme, version=2)
    assert files_of(ready, acme)[0].version == 4
    assert any("has a new version (4)" in message for message in messages(ready, started.job))


def test_telling_of_a_version_a_hundred_times_makes_one_job(ready: Workshop, acme: Organization, claim: Any) -> None:
    save(ready, acme)
    ready.upload(acme, rows=OTHER_ROWS)
    told = [retrain(ready, acme)[0] for _ in range(50)]
    claim(told[0].job.id)
    told += [retrain(ready, acme)[0] for _ in range(50)]
    assert len({each.job.id for each in told}) == 1 == len(all_jobs(ready, acme))


def test_a_deleted_file_is_told_once_by_a_trigger(ready: Workshop, acme: Organization) -> None:
    save(ready, acme)
    delete_file(ready, acme, "train.jsonl")
    told = [retrain(ready, acme)[0] for _ in range(3)]
    assert [each.is_new for each in told] == [True, False, False]
    assert [job.status for job in all_jobs(ready, acme)] == ["failed"]


def test_a_version_that_is_gone_again_trains_nothing_on_the_data_of_before(
    ready: Workshop, acme: Organization, memory: Memory
) -> None:
    save(ready, acme)
    withdrawn = ready.upload(acme, rows=OTHER_ROWS)
    delete_file(ready, acme, withdrawn.id)
    with memory.database.reading() as session:
        assert session.query(DatasetUpdate).count() == 0
    assert retrain(ready, acme) == [], "Prefect may have heard of it already"
    third = ready.upload(acme, rows=OTHER_ROWS[:9])
    fourth = ready.upload(acme, rows=OTHER_ROWS[:8])
    delete_file(ready, acme, fourth.id)
    (started,) = retrain(ready, acme, version=4)
    assert started.job.training_file_id == third.id, "of which there is no job yet"


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


def test_a_trigger_tells_the_reason_of_today(ready: Workshop, acme: Organization, memory: Memory) -> None:
    save(ready, acme, hyperparameters={"epochs": 9})
    ready.upload(acme, rows=OTHER_ROWS)
    for largest in (5, 4):
        memory.operator["limits"] = {"epochs": {"maximum": largest}}
        told = [retrain(ready, acme)[0] for _ in range(2)]
        assert [each.is_new for each in told] == [True, False]
        assert f"from 1 to {largest}" in told[1].job.error["message"]


def test_what_failed_before_it_began_is_tried_again_once_its_cause_is_gone(
    ready: Workshop, acme: Organization, memory: Memory
) -> None:
    save(ready, acme, hyperparameters={"epochs": 9})
    ready.upload(acme, rows=OTHER_ROWS)
    memory.operator["limits"] = {"epochs": {"maximum": 5}}
    assert [retrain(ready, acme)[0].job.status for _ in range(2)] == ["failed", "failed"]
    del memory.operator["limits"]
    assert [retrain(ready, acme)[0].is_new for _ in range(2)] == [True, False]
    assert [job.status for job in all_jobs(ready, acme)] == ["queued", "failed"]


def test_a_name_that_means_another_file_by_now_starts_nothing(ready: Workshop, acme: Organization) -> None:
    save(ready, acme, dataset="train")
    ready.upload(acme, "train.json", rows=OTHER_ROWS)
    assert retrain(ready, acme, "train.jsonl") == []


def test_another_organizations_file_of_the_same_name_starts_nothing(
    ready: Workshop, acme: Organization, globex: Organization
) -> None:
    save(ready, acme)
    ready.upload(globex)
    assert retrain(ready, globex) == []


def files_of(workshop: Workshop, organization: Organization) -> list[File]:
    with workshop.memory.database.reading() as session:
        return files.list_page(session, organization.id)[0]


class Listener(http.server.BaseHTTPRequestHandler):
    """Stands for Prefect's event route, and keeps what it is told."""

    told: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.told.extend(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told(memory: Memory) -> Iterator[list[dict[str, Any]]]:
    Listener.told = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/api"
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": url})
    yield Listener.told
    server.shutdown()
    server.server_close()


def test_only_a_new_version_of_a_data_set_is_announced(
    ready: Workshop, acme: Organization, told: list[dict[str, Any]], memory: Memory
) -> None:
    save(ready, acme)
    ready.upload(acme, "other.jsonl")
    for _ in range(2):
        ready.upload(acme, "step_metrics.csv", checked=False, purpose=files.RESULT_PURPOSE)
    second = ready.upload(acme, rows=OTHER_ROWS)
    ready.upload(acme, "other.jsonl", rows=OTHER_ROWS)
    for purpose in ("assistants", "evals", "user_data"):
        ready.upload(acme, rows=OTHER_ROWS, purpose=purpose)
    assert dataset_updates.send(memory) == 2
    assert dataset_updates.send(memory) == 0
    assert [event["payload"] for event in told] == [
        {"organization": "acme", "name": "train.jsonl", "version": 2, "file_id": second.id},
        {"organization": "acme", "name": "other.jsonl", "version": 2, "file_id": told[1]["payload"]["file_id"]},
    ]
    assert [event["event"] for event in told] == ["afinador.dataset.updated"] * 2
    assert [event["resource"]["afinador.retrains"] for event in told] == ["yes", "no"]


def test_a_spec_is_retrained_on_versions_that_may_be_trained_on(ready: Workshop, acme: Organization) -> None:
    save(ready, acme)
    ready.upload(acme, rows=OTHER_ROWS, purpose="assistants")
    second = ready.upload(acme, rows=OTHER_ROWS[:15])
    ready.upload(acme, rows=OTHER_ROWS, purpose="user_data")
    (started,) = retrain(ready, acme, version=second.version)
    assert (started.job.training_file_id, started.job.job_spec) == (second.id, "nightly")


def test_a_spec_whose_file_is_left_for_something_else_alone_fails_and_says_so(
    ready: Workshop, acme: Organization
) -> None:
    first = ready.upload(acme, "own.jsonl")
    spec = save(ready, acme, dataset="own.jsonl")
    ready.upload(acme, "own.jsonl", rows=OTHER_ROWS, purpose="assistants")
    delete_file(ready, acme, first.id)
    failed = start(ready, acme, spec).job
    assert failed.status == "failed" and "uploaded with the purpose 'assistants'" in (failed.error or {})["message"]


def test_nothing_is_lost_while_prefect_is_away(
    ready: Workshop, acme: Organization, memory: Memory, request: pytest.FixtureRequest
) -> None:
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    for _ in range(150):
        ready.upload(acme, rows=OTHER_ROWS, checked=False)
    with pytest.raises(ServiceUnavailableError):
        dataset_updates.send(memory)
    told = request.getfixturevalue("told")
    assert dataset_updates.send(memory) == 150
    assert [event["payload"]["version"] for event in told] == list(range(2, 152))
    assert len({event["id"] for event in told}) == 150
    with memory.database.reading() as session:
        assert session.query(DatasetUpdate).count() == 0


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
