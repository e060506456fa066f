"""New versions of files start saved specs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import NotFoundError
from registry import jobs
from registry.data_sets import files
from registry.ledger.tables import DatasetUpdate, File, Organization
from registry.memory import Memory
from tests.registry.specs.saved_specs import OTHER_ROWS, all_jobs, create, delete_file, messages, retrain, save, start

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


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


def test_a_job_that_somebody_asked_for_counts_if_it_is_the_saved_one(ready: Workshop, acme: Organization) -> None:
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    spec = save(ready, acme, method=method)
    ready.upload(acme, rows=OTHER_ROWS)
    other = create(ready, acme, hyperparameters={"epochs": 1}, name="try-out")
    assert (other.job_spec, other.job_spec_id, other.spec["hyperparameters"]["epochs"]) == ("nightly", None, 1)
    assert "Made from the saved spec 'nightly', with other fields beside it: hyperparameters" in messages(ready, other)
    asked_for = create(ready, acme, name="mine")
    assert (asked_for.job_spec, asked_for.job_spec_id, asked_for.name) == ("nightly", spec.id, "mine")
    assert asked_for.spec["hyperparameters"]["epochs"] == 2
    assert "Made from the saved spec 'nightly'" in messages(ready, asked_for)
    (told,) = retrain(ready, acme)
    assert (told.job.id, told.is_new) == (asked_for.id, False)
    assert create(ready, acme).id != asked_for.id, "whoever asks gets a job"
    ready.upload(acme)
    (newer,) = retrain(ready, acme, version=3)
    assert newer.is_new and asked_for.id in {job.id for job in newer.superseded}
    assert other.id not in {job.id for job in newer.superseded}, "which nobody else would make again"


def test_the_same_bytes_again_are_no_news_unless_they_are_read_otherwise(
    ready: Workshop, acme: Organization, claim: Any
) -> None:
    save(ready, acme)
    ready.upload(acme, rows=OTHER_ROWS)
    (first,) = retrain(ready, acme)
    claim(first.job.id)
    again = ready.upload(acme, rows=OTHER_ROWS)
    (told,) = retrain(ready, acme, version=again.version)
    assert (told.job.id, told.is_new) == (first.job.id, False)
    with ready.memory.database.session() as session:
        session.get_one(File, again.id).reading = {"encoding": "utf-8"}
    (told,) = retrain(ready, acme, version=again.version)
    assert told.is_new and told.job.training_file_id == again.id


def test_data_of_before_are_news_again_once_others_were_between(
    ready: Workshop, acme: Organization, claim: Any
) -> None:
    save(ready, acme)
    ready.upload(acme, rows=OTHER_ROWS)
    (first,) = retrain(ready, acme)
    ready.upload(acme, rows=OTHER_ROWS[:9])
    (between,) = retrain(ready, acme, version=3)
    assert [job.id for job in between.superseded] == [first.job.id]
    ready.upload(acme, rows=OTHER_ROWS)
    (again,) = retrain(ready, acme, version=4)
    assert again.is_new and [job.id for job in again.superseded] == [between.job.id]
    claim(again.job.id)
    assert [retrain(ready, acme, version=version)[0].is_new for version in (2, 3, 4)] == [False] * 3


def test_the_bytes_of_a_deleted_file_are_no_news(ready: Workshop, acme: Organization, claim: Any) -> None:
    save(ready, acme)
    trained = ready.upload(acme, rows=OTHER_ROWS)
    (first,) = retrain(ready, acme)
    running = claim(first.job.id)
    with ready.memory.database.session() as session:
        jobs.finish(session, running.id, running.attempt, "succeeded")
    delete_file(ready, acme, trained.id)
    again = ready.upload(acme, rows=OTHER_ROWS)
    (told,) = retrain(ready, acme, version=again.version)
    assert (told.job.id, told.is_new) == (first.job.id, False)


def test_a_deleted_file_is_told_once_by_a_trigger(ready: Workshop, acme: Organization) -> None:
    save(ready, acme)
    delete_file(ready, acme, "train.jsonl")
    told = [retrain(ready, acme, version=1)[0] for _ in range(3)]
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
    assert retrain(ready, acme, "train.jsonl", version=1) == []


def test_another_organizations_file_of_the_same_name_starts_nothing(
    ready: Workshop, acme: Organization, globex: Organization
) -> None:
    save(ready, acme)
    ready.upload(globex)
    assert retrain(ready, globex, version=1) == []


@pytest.mark.parametrize(
    ("filename", "version", "said"),
    [
        ("train.jsonl", 99, "There is no version 99 of 'train.jsonl'; there are versions 1 to 2. Give one of these"),
        ("train.jsonl", 0, "There is no version 0 of 'train.jsonl'; there are versions 1 to 2. Give one of these"),
        ("other.jsonl", 1, "The organization 'acme' has no file 'other.jsonl'"),
    ],
)
def test_a_version_that_never_was_is_not_taken_for_the_newest(
    ready: Workshop, acme: Organization, filename: str, version: int, said: str
) -> None:
    save(ready, acme)
    delete_file(ready, acme, ready.upload(acme, rows=OTHER_ROWS).id)
    with pytest.raises(NotFoundError) as caught:
        retrain(ready, acme, filename, version=version)
    assert caught.value.message.startswith(said)
    assert retrain(ready, acme, version=2) == [], "one that is gone was there"


def files_of(workshop: Workshop, organization: Organization) -> list[File]:
    with workshop.memory.database.reading() as session:
        return files.list_page(session, organization.id)[0]


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
