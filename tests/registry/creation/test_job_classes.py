"""A job that classifies: whether the labels of its files are classes, judged before it is made or once they are checked."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.errors import DataError, InvalidRequestError, OutOfRangeError
from registry.data_sets import files
from registry.ledger.tables import Event, Job, Organization
from tests.registry.conftest import CLASSES, Workshop


@pytest.fixture
def bert(ready: Workshop, acme: Organization) -> Workshop:
    """A workshop with a base model that classifies, and a file of two classes."""
    ready.base_model(acme, "bert-base-uncased", architecture="BertForMaskedLM", task="sequence_classification")
    ready.upload(acme, "classes.jsonl", CLASSES)
    return ready


def test_classification_is_the_task_of_an_encoder_and_may_be_that_of_a_causal_model(
    bert: Workshop, acme: Organization
) -> None:
    assert bert.job(acme, model="bert-base-uncased", training_file="classes").task == "sequence_classification"
    assert bert.job(acme, training_file="classes").task == "causal_lm"
    assert bert.job(acme, training_file="classes", task="sequence_classification").spec["task"] == (
        "sequence_classification"
    )
    with pytest.raises(OutOfRangeError, match="task is 'causal_lm'; BertForMaskedLM is trained for"):
        bert.job(acme, model="bert-base-uncased", training_file="classes", task="causal_lm")


def test_quantised_tuning_of_a_model_that_classifies_is_refused_with_what_fits(
    bert: Workshop, acme: Organization
) -> None:
    needs = "'qlora', which needs task 'causal_lm'; the task is 'sequence_classification'. Use tuning_method 'lora'."
    for fields in ({"model": "bert-base-uncased"}, {"task": "sequence_classification"}):
        with pytest.raises(InvalidRequestError, match=needs) as refusal:
            bert.job(acme, training_file="classes", tuning_method="qlora", **fields)
        assert refusal.value.param == "tuning_method"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a", "label": "same"}, {"text": "b", "label": "same"}], "have the label 'same'"),
        ([{"text": "a", "label": f"Answer {n}"} for n in range(8)], "8 different labels in 8 records"),
        ([{"prompt": "a", "completion": "b"}], "of the shape prompt_completion"),
    ],
)
def test_labels_that_are_no_classes_are_refused_before_a_job_is_made(
    bert: Workshop, acme: Organization, rows: list[dict[str, Any]], said: str
) -> None:
    bert.upload(acme, "bad.jsonl", rows)
    with pytest.raises(DataError, match=said) as refusal:
        bert.job(acme, model="bert-base-uncased", training_file="bad.jsonl")
    assert refusal.value.param == "training_file"
    assert bert.job(acme, training_file="bad.jsonl").status == "queued"  # to a causal model they are answers


def test_labels_that_are_only_validated_are_refused_before_a_job_is_made(bert: Workshop, acme: Organization) -> None:
    bert.upload(acme, "valid.jsonl", [*CLASSES, {"text": "x", "label": "odd"}])
    with pytest.raises(DataError, match="1 label that the training file does not have: 'odd', in 1 record") as refusal:
        bert.job(acme, model="bert-base-uncased", training_file="classes", validation_file="valid.jsonl")
    assert refusal.value.param == "validation_file"


def test_of_what_is_read_otherwise_the_run_judges_itself(bert: Workshop, acme: Organization) -> None:
    rows = [{"text": f"other {n}", "label": "odd", "class": ("good", "bad")[n % 2]} for n in range(6)]
    fields = {"model": "bert-base-uncased", "training_file": "classes", "validation_file": "valid.jsonl"}
    otherwise = {"validation_reading": {"mapping": {"text": "text", "label": "class"}}}
    bert.upload(acme, "valid.jsonl", rows)
    assert bert.job(acme, **fields, **otherwise).status == "queued"
    with pytest.raises(DataError, match="'odd'"):
        bert.job(acme, **fields)
    held_out = bert.upload(acme, "valid.jsonl", [*rows, {"text": "x", "label": "new"}], checked=False)
    waiting = bert.job(acme, **fields, **otherwise)
    assert waiting.status == "validating_files"
    files.check(bert.memory, held_out.id)
    with bert.memory.database.reading() as session:
        settled = session.get_one(Job, waiting.id)
    assert settled.status == "queued" and settled.spec["validation_file"]["format"] == "jsonl"
    assert settled.spec["validation_file"]["reading"]["mapping"] == {"text": "text", "label": "class"}
    with pytest.raises(InvalidRequestError, match="none is allowed") as refusal:
        bert.job(acme, **fields, validation_reading={"loader": "acme:read"})
    assert refusal.value.param == "validation_reading.loader"


def test_what_says_nothing_of_the_format_of_the_validation_file_is_refused_by_name(
    bert: Workshop, acme: Organization
) -> None:
    fields = {"model": "bert-base-uncased", "training_file": "classes", "validation_file": "valid.jsonl"}
    bert.upload(acme, "valid.jsonl", CLASSES, checked=False)
    # Nothing is known of it yet; the run judges it.
    assert bert.job(acme, **fields, validation_reading={"split": "test"}).status == "validating_files"
    bert.upload(acme, "valid.jsonl", [*CLASSES, CLASSES[0]])
    said = "split is for folders, archives .*, and 'valid.jsonl' is read as JSON Lines"
    for files_named in ({}, {"training_file": "valid.jsonl", "validation_file": None}):
        with pytest.raises(InvalidRequestError, match=said) as refusal:
            bert.job(acme, **fields | files_named, validation_reading={"split": "test"})
        assert refusal.value.param == "validation_reading"
    assert bert.job(acme, **fields, validation_reading={"encoding": "utf-8"}).status == "queued"


@pytest.mark.parametrize(
    ("rows", "held_out", "param", "said"),
    [
        ([{"text": "a", "label": "same"}, {"text": "b", "label": "same"}], None, "training_file", "have the label 'same'"),
        ([{"text": "a", "label": f"Answer {n}"} for n in range(8)], None, "training_file", "8 different labels"),
        (CLASSES, [*CLASSES, {"text": "x", "label": "odd"}], "validation_file", "does not have: 'odd', in 1 record"),
    ],
)  # fmt: skip
def test_labels_that_turn_out_to_be_no_classes_fail_the_job_that_waited_for_their_check(
    bert: Workshop, acme: Organization, rows: Any, held_out: Any, param: str, said: str
) -> None:
    waiting = [bert.upload(acme, "late.jsonl", rows, checked=False)]
    named = {}
    if held_out is not None:
        waiting.append(bert.upload(acme, "held.jsonl", held_out, checked=False))
        named = {"validation_file": "held.jsonl"}
    job = bert.job(acme, model="bert-base-uncased", training_file="late.jsonl", **named)
    assert job.status == "validating_files"
    for file in waiting:
        files.check(bert.memory, file.id)
    with bert.memory.database.reading() as session:
        settled = session.get_one(Job, job.id)
        told = session.query(Event).where(Event.job_id == job.id).order_by(Event.created_at).all()
    assert (settled.status, settled.error["code"], settled.error["param"]) == ("failed", "invalid_data", param)
    assert said in settled.error["message"]
    assert (told[-1].level, told[-1].message) == ("error", settled.error["message"])
    assert not any("Files validated" in event.message for event in told)


def test_verdicts_without_labels_leave_the_judgement_to_the_run(bert: Workshop, acme: Organization) -> None:
    bert.upload(acme, "long.jsonl", [{"text": "a", "label": "long " * 500 + str(n)} for n in range(40)])
    assert bert.job(acme, model="bert-base-uncased", training_file="long.jsonl").status == "queued"
