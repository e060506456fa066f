"""Jobs that start from a checkpoint of another one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, InvalidRequestError, NotFoundError
from afinador.schemas.job_specs import JobSpecRequest
from registry import jobs
from registry.job_life import checkpoints, events
from registry.ledger.tables import Checkpoint, Job, Organization
from registry.specs import job_specs, spec_jobs
from tests.registry.conftest import CLASSES, Workshop

STATE = "training_state/state.json"


def keep(
    workshop: Workshop, job: Job, step: int, *, best: int | None = None, stated: tuple[str, ...] = (STATE,)
) -> str:
    """Put what a checkpoint is known by into storage and ledger, and return its id."""
    key = f"{job.organization_id}/jobs/{job.id}/checkpoints/step-{step:06d}"
    files = {"trainer_state.json": {"step": step, "best_step": best}}
    files["manifest.json"] = {"files": {name: {"bytes": 1, "sha256": "0" * 64} for name in stated}}
    for name, document in files.items():
        source = workshop.folder / "document"
        source.write_text(json.dumps(document))
        workshop.memory.storage.put_file(source, f"{key}/{name}")
    with workshop.memory.database.session() as session:
        return checkpoints.register(session, job, step, key, {}, 7).id


def only(workshop: Workshop, organization: Organization, **body: Any) -> Job:
    """Create a job of these fields and no others."""
    return workshop.job(organization, **{"model": None, "training_file": None, **body})


@pytest.fixture
def source(ready: Workshop, acme: Organization) -> Job:
    """A job with a validation file, and settings that are no defaults."""
    ready.upload(acme, "held.jsonl", [{"prompt": "a", "completion": "b"}] * 4)
    settings = {"lora_rank": 4, "lora_alpha": 8, "epochs": 2, "learning_rate": 1e-3, "max_attempts": 5}
    return ready.job(acme, validation_file="held", seed=11, hyperparameters=settings)


@pytest.mark.parametrize("ended", [None, "cancelled", "failed", "succeeded"])
def test_whole_training_goes_on_as_a_new_job_with_all_that_it_was(
    ended: str | None, ready: Workshop, acme: Organization, source: Job
) -> None:
    checkpoint = keep(ready, source, 6)
    with ready.memory.database.session() as session:
        session.get_one(Job, source.id).status = ended or source.status
    job = only(
        ready, acme, from_checkpoint=checkpoint, from_checkpoint_state="whole", hyperparameters={"save_steps": 9}
    )
    spec, was = FineTuningSpec.model_validate(job.spec), FineTuningSpec.model_validate(source.spec)
    assert spec.hyperparameters == was.hyperparameters.model_copy(update={"save_steps": 9})
    assert (spec.seed, spec.training_file, spec.validation_file) == (11, was.training_file, was.validation_file)
    assert (spec.base_model, spec.task, spec.tuning_method) == (was.base_model, was.task, was.tuning_method)
    assert spec.job_id != was.job_id and spec.output.alias != was.output.alias
    taken = {key: spec.sources[key] for key in ("epochs", "warmup_steps", "seed", "save_steps")}
    assert taken == {
        "epochs": "checkpoint",
        "warmup_steps": "checkpoint",
        "seed": "checkpoint",
        "save_steps": "request",
    }
    start = spec.start_from
    assert start is not None and start.best is None
    assert (start.checkpoint_id, start.job_id, start.step, start.state) == (checkpoint, source.id, 6, "whole")
    assert ready.memory.storage.exists(f"{start.path}/manifest.json") and len(start.manifest_sha256) == 64
    with ready.memory.database.reading() as session:
        rows, _ = events.list_page(session, acme.id, job.id)
    assert f"Goes on with the training that has left the checkpoint {start.name}, after step 6." in [
        row.message for row in rows
    ]


def test_weights_begin_a_new_training_with_what_fits_them(ready: Workshop, acme: Organization, source: Job) -> None:
    keep(ready, source, 6)
    name = f"{source.spec['output']['alias']}:ckpt-step-6"
    job = only(ready, acme, from_checkpoint=name, training_file="train")
    spec = FineTuningSpec.model_validate(job.spec)
    assert spec.start_from is not None and (spec.start_from.name, spec.start_from.state) == (name, "weights")
    settings = spec.hyperparameters
    assert (settings.lora_rank, settings.lora_alpha, settings.epochs, settings.max_attempts) == (4, 8, 3, 3)
    assert spec.sources["lora_rank"] == "checkpoint" and spec.sources["epochs"] == "default"
    assert spec.validation_file is None, "of other data the job's held-out data say nothing"
    assert only(ready, acme, from_checkpoint=name).validation_file_id == source.validation_file_id
    shaping = {"lora_rank": 4, "learning_rate": 2e-4}
    assert only(ready, acme, from_checkpoint=name, hyperparameters=shaping).spec["sources"]["lora_rank"] == "request"


REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("weights", {"hyperparameters": {"lora_rank": 8}}, "hyperparameters.lora_rank", "lora_rank is 8, there 4"),
    ("weights", {"config": {"lora_bias": "all"}}, "config.lora_bias", "lora_bias is 'all', there 'none'"),
    ("weights", {"tuning_method": "full"}, "tuning_method", "tuning_method is 'full', there 'lora'"),
    ("weights", {"task": "sequence_classification"}, "task", "there 'causal_lm'"),
    ("weights", {"model": "other"}, "model", "model is 'other' (SHA-256 111"),
    ("whole", {"model": "other"}, "model", "there 'tiny-llama' (SHA-256 000"),
    ("whole", {"seed": 12}, "seed", "seed is 12, there 11"),
    ("whole", {"hyperparameters": {"epochs": 3}}, "hyperparameters.epochs", "epochs is 3, there 2"),
    ("whole", {"hyperparameters": {"learning_rate_multiplier": 3}}, "hyperparameters.learning_rate", "there 0.001"),
    (
        "whole",
        {"config": {"eval_steps": 3, "packing": True}},
        "config.packing",
        "packing is true, there false",
    ),
    ("whole", {"training_file": "held"}, "training_file", "training_file is 'held.jsonl' (SHA-256"),
    ("whole", {"validation_file": "train"}, "validation_file", "there 'held.jsonl' (SHA-256"),
    (
        "whole",
        {"validation_file": "held", "validation_reading": {"encoding": "latin-1"}},
        "validation_file",
        "is read as jsonl, encoding 'latin-1', there as jsonl. Declare the same reading",
    ),
]


@pytest.mark.parametrize(("state", "given", "param", "said"), REFUSALS)
def test_misfit_is_refused_by_name(
    state: str, given: dict[str, Any], param: str, said: str, ready: Workshop, acme: Organization, source: Job
) -> None:
    ready.base_model(acme, "other", sha256="1" * 64)
    checkpoint = keep(ready, source, 6)
    with pytest.raises(InvalidRequestError) as caught:
        only(ready, acme, from_checkpoint=checkpoint, from_checkpoint_state=state, **given)
    assert (caught.value.code, caught.value.param) == ("checkpoint_does_not_fit", param)
    assert said in caught.value.message
    assert ("'weights'" in caught.value.message) is (state == "whole")


def test_the_same_content_under_another_name_is_the_same_data(ready: Workshop, acme: Organization, source: Job) -> None:
    again = ready.upload(acme, "again.jsonl")
    job = only(
        ready, acme, from_checkpoint=keep(ready, source, 6), from_checkpoint_state="whole", training_file="again"
    )
    assert job.training_file_id == again.id != source.training_file_id


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"from_checkpoint": "ftckpt_none"}, NotFoundError, "There is no checkpoint 'ftckpt_none'"),
        ({"from_checkpoint": ""}, InvalidRequestError, "from_checkpoint is ''"),
        ({"from_checkpoint": 5}, InvalidRequestError, "it must be a string"),
        ({"from_checkpoint": "x", "from_checkpoint_state": "half"}, InvalidRequestError, "'weights' or 'whole'"),
        ({"from_checkpoint_state": "whole"}, InvalidRequestError, "give from_checkpoint"),
        ({}, InvalidRequestError, r"The field 'model' \(or 'base_model'\) is required"),
    ],
)
def test_what_names_no_checkpoint_is_refused(
    body: dict[str, Any], error: type[AfinadorError], said: str, ready: Workshop, acme: Organization
) -> None:
    with pytest.raises(error, match=said):
        only(ready, acme, **body)


def test_checkpoints_without_files_or_state_cannot_be_started_from(
    ready: Workshop, acme: Organization, source: Job
) -> None:
    with pytest.raises(InvalidRequestError, match="holds weights only"):
        only(ready, acme, from_checkpoint=keep(ready, source, 2, stated=("adapter_config.json",)))
    gone = keep(ready, source, 4)
    ready.memory.storage.delete(f"{acme.id}/jobs/{source.id}/checkpoints/step-000004")
    with pytest.raises(NotFoundError, match=r"step-4 are gone from the storage"):
        only(ready, acme, from_checkpoint=gone)


def test_best_checkpoint_comes_along_also_through_several_jobs(ready: Workshop, acme: Organization) -> None:
    ready.upload(acme, "held.jsonl", [{"prompt": "a", "completion": "b"}] * 4)
    first = ready.job(acme, validation_file="held", hyperparameters={"early_stopping_patience": 3})
    keep(ready, first, 3)
    whole = {"from_checkpoint_state": "whole"}
    second = only(ready, acme, from_checkpoint=keep(ready, first, 5, best=3), **whole)
    assert second.spec["start_from"]["best"]["step"] == 3
    third = only(ready, acme, from_checkpoint=keep(ready, second, 8, best=3), **whole)
    best = third.spec["start_from"]["best"]
    assert (best["job_id"], best["step"], third.spec["start_from"]["step"]) == (first.id, 3, 8)
    fourth = only(ready, acme, from_checkpoint=keep(ready, third, 10, best=10), **whole)
    assert fourth.spec["start_from"]["best"] is None
    with pytest.raises(InvalidRequestError, match="was best after step 4, and that checkpoint is gone"):
        only(ready, acme, from_checkpoint=keep(ready, third, 12, best=4), **whole)
    bound = {"hyperparameters": {"save_steps": 77}}  # which decides when it is measured
    with pytest.raises(InvalidRequestError, match="save_steps is 77"):
        only(ready, acme, from_checkpoint=keep(ready, first, 6), **whole, **bound)


def test_checkpoint_stays_while_a_job_that_starts_from_it_is_open(
    ready: Workshop, acme: Organization, source: Job
) -> None:
    kept = {step: keep(ready, source, step) for step in (2, 4, 6)}
    job = only(ready, acme, from_checkpoint=kept[2])

    def prune() -> list[int]:
        with ready.memory.database.session() as session:
            checkpoints.prune(session, source.id, keep=1)
        with ready.memory.database.reading() as session:
            return sorted(row.step_number for row in session.query(Checkpoint).filter_by(job_id=source.id))

    assert prune() == [2, 6]
    with ready.memory.database.session() as session:
        jobs.request_cancel(session, acme.id, job.id)
    assert prune() == [6]


def test_classes_of_other_names_are_refused(ready: Workshop, acme: Organization) -> None:
    ready.upload(acme, "classes.jsonl", CLASSES)
    ready.upload(acme, "others.jsonl", [{**row, "label": row["label"].replace("bad", "poor")} for row in CLASSES])
    classifier = ready.job(acme, training_file="classes", task="sequence_classification")
    checkpoint = keep(ready, classifier, 2)
    assert only(ready, acme, from_checkpoint=checkpoint).task == "sequence_classification"
    with pytest.raises(InvalidRequestError, match="only in the data: 'poor'; only in the checkpoint: 'bad'"):
        only(ready, acme, from_checkpoint=checkpoint, training_file="others")


def test_saved_spec_writes_down_what_the_checkpoint_says(ready: Workshop, acme: Organization, source: Job) -> None:
    checkpoint = keep(ready, source, 6)
    with ready.memory.database.session() as session:
        wanted = JobSpecRequest(name="nightly", request={"from_checkpoint": checkpoint})
        saved = job_specs.create(session, ready.memory, acme, wanted)
    data = {"training_file": source.training_file_id, "validation_file": source.validation_file_id}
    expected = {"model": "tiny-llama", "from_checkpoint": checkpoint, **data}
    assert {key: saved.request[key] for key in expected} == expected
    with ready.memory.database.session() as session:
        first, again = (spec_jobs.start(session, ready.memory, acme, saved, "Made by a test") for _ in range(2))
    assert first.job.spec["start_from"]["checkpoint_id"] == checkpoint
    assert first.job.validation_file_id == source.validation_file_id
    assert (first.is_new, again.is_new, again.job.id) == (True, False, first.job.id)


def test_held_out_data_are_taken_over_as_they_were_read(ready: Workshop, acme: Organization, source: Job) -> None:
    mapping = {"prompt": "completion", "completion": "prompt"}
    turned = ready.job(acme, validation_file="held", validation_reading={"mapping": mapping})
    checkpoint = keep(ready, turned, 6)
    with ready.memory.database.session() as session:
        saved = job_specs.create(
            session, ready.memory, acme, JobSpecRequest(name="turned", request={"from_checkpoint": checkpoint})
        )
        started = spec_jobs.start(session, ready.memory, acme, saved, "Made by a test").job
    for job in (only(ready, acme, from_checkpoint=checkpoint), started):
        assert job.spec["validation_file"] == turned.spec["validation_file"]
        assert job.spec["validation_file"]["reading"]["mapping"] == mapping
    assert ready.job(acme, validation_file="held").spec["validation_file"]["reading"] is None


@pytest.mark.parametrize("named", [{}, {"model": "tiny-llama"}])
def test_base_model_of_a_checkpoint_is_the_one_that_it_was_made_on(
    named: dict[str, Any], workshop: Workshop, acme: Organization, globex: Organization
) -> None:
    public = workshop.base_model(globex, visibility="public")
    workshop.upload(acme)
    checkpoint = keep(workshop, workshop.job(acme), 2)
    workshop.base_model(acme, sha256="1" * 64)
    assert only(workshop, acme, from_checkpoint=checkpoint, **named).base_model_id == public.id


def test_specifications_of_before_have_no_starting_point(ready: Workshop, acme: Organization) -> None:
    stored = dict(ready.job(acme).spec)
    assert stored.pop("start_from") is None
    assert FineTuningSpec.model_validate(stored).start_from is None
