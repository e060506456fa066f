"""From a request to a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.errors import (
    AfinadorError,
    DataError,
    InvalidRequestError,
    ModelError,
    ModelTooLargeError,
    NameTakenError,
    NotFoundError,
    OutOfRangeError,
    UnsupportedModelError,
)
from registry import jobs
from registry.data_sets import files
from registry.job_life import events
from registry.ledger.tables import Job, Organization

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def messages(workshop: Workshop, job: Job) -> list[str]:
    with workshop.memory.database.reading() as session:
        rows, _ = events.list_page(session, job.organization_id, job.id, limit=100)
    return [row.message for row in reversed(rows)]


def test_job_on_checked_files_is_queued_with_its_whole_specification(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, hyperparameters={"n_epochs": 2}, seed=7, tags=["a"], domain="law")
    spec = FineTuningSpec.model_validate(job.spec)
    assert job.status == "queued"
    assert (spec.job_id, spec.job_name, spec.organization, spec.seed) == (job.id, job.name, "acme", 7)
    assert (spec.tuning_method, spec.task, spec.hyperparameters.epochs) == ("lora", "causal_lm", 2)
    assert spec.sources["epochs"] == "request" and spec.sources["lora_rank"] == "default"
    assert spec.base_model.path == "/models/tiny" and spec.base_model.parameters == 1_500_000
    assert spec.training_file.format == "jsonl" and spec.training_file.file_id == job.training_file_id
    assert ready.memory.storage.exists(spec.training_file.path)
    assert messages(ready, job) == [f"Created fine-tuning job: {job.id}"]


def test_names_follow_the_base_model_the_suffix_and_the_id(ready: Workshop, acme: Organization) -> None:
    ready.base_model(acme, "org/Big-Model")
    job = ready.job(acme, model="org/Big-Model")
    short_id = job.id[-8:]
    assert job.name == f"org-Big-Model-{short_id}"
    assert job.spec["output"] == {
        "name": f"org-Big-Model-{short_id}",
        "kind": "adapter",
        "alias": f"ft:org/Big-Model:acme::{short_id}",
    }
    named = ready.job(acme, suffix="my suffix", tuning_method="full")
    assert named.spec["output"] == {
        "name": "tiny-llama-my-suffix",
        "kind": "model",
        "alias": f"ft:tiny-llama:acme:my-suffix:{named.id[-8:]}",
    }
    accented = ready.job(acme, suffix="mío", tags=["x" * 128] * 32)
    assert accented.spec["output"]["alias"] == f"ft:tiny-llama:acme:mio:{accented.id[-8:]}"
    chosen = ready.job(acme, output_model="bert-qa", suffix="x")
    assert chosen.spec["output"]["name"] == chosen.output_model == "bert-qa"
    assert chosen.name == f"bert-qa-{chosen.id[-8:]}"


def test_longest_names_still_make_a_hub_name_that_fits(ready: Workshop, acme: Organization) -> None:
    ready.base_model(acme, "b" * 96)
    output = ready.job(acme, model="b" * 96, suffix="s" * 64).spec["output"]
    assert len(output["name"]) == 96 and output["name"].endswith("-" + "s" * 64)


def test_seed_is_chosen_and_kept_when_it_is_omitted(ready: Workshop, acme: Organization) -> None:
    seeds = [ready.job(acme).seed for _ in range(4)]
    assert len(set(seeds)) > 1
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_job_name_is_unique_in_its_organization(ready: Workshop, acme: Organization, globex: Organization) -> None:
    ready.job(acme, name="mine")
    with pytest.raises(NameTakenError, match="'mine'"):
        ready.job(acme, name="mine")
    ready.base_model(globex)
    ready.upload(globex)
    ready.job(globex, name="mine")


def test_job_waits_for_the_check_of_its_files_and_is_queued_with_the_found_format(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    waiting = ready.upload(acme, "held-out", checked=False)
    job = ready.job(acme, validation_file="held-out")
    assert job.status == "validating_files"
    files.check(ready.memory, waiting.id)
    settled = stored(job.id)
    assert settled.status == "queued"
    assert settled.spec["validation_file"]["format"] == "jsonl"
    *told, overlap = messages(ready, job)[1:]
    assert told == ["Validating files: held-out", "Files validated, moving job to queued state"]
    assert overlap.startswith("12 of 12 different records of held-out are in train.jsonl too")


def test_overlap_of_checked_files_is_told_at_once(ready: Workshop, acme: Organization) -> None:
    ready.upload(acme, "other", [{"prompt": "question of its own", "completion": "answer"}] * 3)
    assert len(messages(ready, ready.job(acme, validation_file="other"))) == 1
    ready.upload(acme, "held-out")
    with ready.memory.database.reading() as session:
        rows, _ = events.list_page(session, acme.id, ready.job(acme, validation_file="held-out").id, limit=100)
    assert [row.level for row in reversed(rows)] == ["info", "warn"]


def test_job_waits_until_both_of_its_files_are_checked(
    workshop: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    workshop.base_model(acme)
    first = workshop.upload(acme, "train.jsonl", checked=False)
    second = workshop.upload(acme, "valid.jsonl", [{"prompt": "question", "completion": "answer"}], checked=False)
    job = workshop.job(acme, validation_file="valid.jsonl")
    files.check(workshop.memory, second.id)
    assert stored(job.id).status == "validating_files"
    files.check(workshop.memory, first.id)
    assert stored(job.id).status == "queued"


def test_job_fails_with_the_reason_when_its_file_turns_out_bad(
    ready: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    bad = ready.upload(acme, "bad.jsonl", [{"prompt": "lonely"}], checked=False)
    job = ready.job(acme, training_file="bad.jsonl")
    files.check(ready.memory, bad.id)
    failed = stored(job.id)
    assert failed.status == "failed" and failed.finished_at is not None
    assert failed.error is not None and failed.error["param"] == "training_file"
    assert "bad.jsonl" in failed.error["message"] and "1" in failed.error["message"]


def test_cancelled_job_is_not_woken_by_the_check_of_its_file(
    workshop: Workshop, acme: Organization, stored: Callable[[str], Job]
) -> None:
    workshop.base_model(acme)
    file = workshop.upload(acme, checked=False)
    job = workshop.job(acme)
    with workshop.memory.database.session() as session:
        jobs.request_cancel(session, acme.id, job.id)
    files.check(workshop.memory, file.id)
    assert stored(job.id).status == "cancelled"


@pytest.mark.parametrize(
    ("body", "error", "words", "param"),
    [
        ({"model": "tiny-lama"}, NotFoundError, "tiny-lama", "model"),
        ({"training_file": "trainn.jsonl"}, NotFoundError, "Did you mean 'train.jsonl'", "training_file"),
        ({"validation_file": "nothing"}, NotFoundError, "nothing", "validation_file"),
        ({"hyperparameters": {"epochs": 11}}, OutOfRangeError, "1 to 10", "hyperparameters.epochs"),
        ({"model": "ft:tiny-llama:acme::12345678"}, NotFoundError, "There is no result", "model"),
        ({"integrations": [{"type": "wandb"}]}, InvalidRequestError, "MLflow", "integrations"),
        ({"metadata": {str(number): "" for number in range(17)}}, InvalidRequestError, "at most 16", "metadata"),
        ({"metadata": {"key": "x" * 513}}, InvalidRequestError, "512", "metadata"),
        ({"tags": ["short", "x" * 100_000]}, InvalidRequestError, "must not be longer than 128", "tags.1"),
        ({"tags": ["x"] * 33}, InvalidRequestError, "32", "tags"),
        ({"task": "seq2seq_lm"}, OutOfRangeError, "causal_lm", "task"),
    ],
)
def test_wrong_request_is_refused_by_name_and_writes_nothing(
    ready: Workshop, acme: Organization, body: dict[str, Any], error: type[AfinadorError], words: str, param: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        ready.job(acme, **body)
    assert caught.value.param == param
    with ready.memory.database.reading() as session:
        assert jobs.list_page(session, acme.id) == ([], False)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"parameters": 15_000_000_001}, ModelTooLargeError, "at most 15B"),
        ({"status": "registering"}, ModelError, "still being registered"),
        ({"status": "error", "status_details": "No config.json."}, ModelError, r"No config\.json"),
        ({"architecture": "T5ForConditionalGeneration"}, UnsupportedModelError, "T5ForConditionalGeneration"),
    ],
)
def test_base_model_that_cannot_be_trained_is_refused(
    ready: Workshop, acme: Organization, changed: dict[str, Any], error: type[AfinadorError], words: str
) -> None:
    ready.base_model(acme, "other", **changed)
    with pytest.raises(error, match=words) as caught:
        ready.job(acme, model="other")
    assert caught.value.param == "model"


def test_model_of_exactly_the_limit_is_accepted(ready: Workshop, acme: Organization) -> None:
    ready.base_model(acme, "large", parameters=15_000_000_000)
    assert ready.job(acme, model="large").status == "queued"


def test_file_that_was_found_bad_is_refused_with_its_reason(ready: Workshop, acme: Organization) -> None:
    bad = ready.upload(acme, "bad.jsonl", [{"prompt": "lonely"}])
    with pytest.raises(DataError) as caught:
        ready.job(acme, training_file="bad.jsonl")
    assert caught.value.param == "training_file"
    assert bad.status_details is not None and bad.status_details in caught.value.message


def test_result_file_of_a_job_is_no_data_set(ready: Workshop, acme: Organization) -> None:
    ready.upload(acme, "curve.csv", checked=False, purpose="fine-tune-results")
    with pytest.raises(InvalidRequestError, match="result file"):
        ready.job(acme, training_file="curve.csv")


@pytest.mark.parametrize("purpose", ["assistants", "batch", "vision", "user_data", "evals"])
def test_a_file_that_was_uploaded_for_something_else_is_not_trained_on(
    ready: Workshop, acme: Organization, purpose: str
) -> None:
    newer = ready.upload(acme, rows=[{"prompt": "a", "completion": "b"}] * 20, purpose=purpose)
    notes = ready.upload(acme, "notes.jsonl", purpose=purpose)
    for name in ("train.jsonl", "train"):
        job = ready.job(acme, training_file=name, validation_file=name)
        assert newer.id not in (job.training_file_id, job.validation_file_id)
    for field, reference, file in (
        ("training_file", newer.id, newer),
        ("validation_file", newer.id, newer),
        ("training_file", "notes", notes),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            ready.job(acme, **{field: reference})
        assert refused.value.message == (
            f"{file.filename} ({file.id}) was uploaded with the purpose {purpose!r}; a data set has the purpose "
            "'fine-tune'. Upload it again with that purpose."
        )
        assert refused.value.param == field


def test_config_and_its_sources_are_kept_with_the_job(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, config={"optimizer": "sgd", "seed": 12}, hyperparameters={"epochs": 2})
    assert (job.seed, job.spec["hyperparameters"]["optimizer"]) == (12, "sgd")
    sources = {key: job.spec["sources"][key] for key in ("optimizer", "seed", "epochs", "lora_rank")}
    assert sources == {"optimizer": "file", "seed": "file", "epochs": "request", "lora_rank": "default"}


def test_operators_defaults_reach_the_specification(ready: Workshop, acme: Organization) -> None:
    ready.memory.operator = {"defaults": {"epochs": 1}}
    job = ready.job(acme)
    assert job.spec["hyperparameters"]["epochs"] == 1
    assert job.spec["sources"]["epochs"] == "operator"


def test_documents_without_a_prompt_are_refused_before_a_job_is_made(ready: Workshop, acme: Organization) -> None:
    document = {"document": "Emma", "metadata": {"year": 1815}}
    ready.upload(acme, "books.jsonl", [{**document, "type": "libro"}, {**document, "type": "tesis"}, document])
    with pytest.raises(
        DataError, match=r"2 of its documents .* for the type 'tesis' and for documents without"
    ) as caught:
        ready.job(acme, training_file="books.jsonl", hyperparameters={"prompts": {"libro": "Libro:"}})
    assert caught.value.param == "hyperparameters.prompts"
    for given in ({"prompts": {"libro": "Libro:", "default": "Todo:"}}, {"extraction": "schema"}, {}):
        assert ready.job(acme, training_file="books.jsonl", hyperparameters=given).status == "queued"
