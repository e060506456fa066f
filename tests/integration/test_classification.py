"""The specification's own example (sections 4.2 and 7): a BERT learns classes from the command line to the hub."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from afinador.data.labels import MAX_CLASSES
from tests.integration.questions import MODEL, QUESTIONS, model_folder, prepare
from tests.integration.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SECTION_7 = '-basemodel "bert-base-uncased" -dataset "qa_data" -output-model "bert-qa" -epochs 3'
SECTION_4_2 = '-basemodel "bert-base-uncased" -dataset "qa_data.csv" -output-model "bert-qa" -epochs 3 -lora-rank 16'


@pytest.fixture(autouse=True, scope="module")
def _prepared(stack: Stack) -> None:
    prepare(stack)


def created(stack: Stack, written: str) -> dict:
    made = stack.command_line("create", "fine-tune-job", *shlex.split(written), "--json")
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


def test_sections_7_and_4_2_run_as_they_are_written(stack: Stack, tmp_path: Path) -> None:
    job = created(stack, SECTION_7)
    assert (job["task"], job["tuning_method"]) == ("sequence_classification", "lora")
    ended = stack.wait(job["id"])
    assert ended["status"] == "succeeded", ended["error"]
    ranked = created(stack, SECTION_4_2)
    shown = stack.command_line("get", "fine-tuning-job", job["id"])
    assert shown.returncode == 0 and "succeeded" in shown.stdout and "bert-qa, version 1" in shown.stdout
    kept = stack.command_line("get", "hub-model", "bert-qa")
    assert kept.returncode == 0 and "sequence_classification" in kept.stdout
    fetched = stack.command_line("get", "hub-model", "bert-qa", "--download", str(tmp_path / "bert-qa"))
    assert fetched.returncode == 0, fetched.stderr
    assert "adapter" in fetched.stdout and "sequence_classification" in fetched.stdout
    config = AutoConfig.from_pretrained(tmp_path / "bert-qa" / "base")
    assert list(config.id2label.values()) == sorted(QUESTIONS)
    base = AutoModelForSequenceClassification.from_pretrained(model_folder(stack), config=config)
    model = PeftModel.from_pretrained(base, tmp_path / "bert-qa")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bert-qa")
    assert model(**tokenizer("where is my order ?", return_tensors="pt")).logits.shape == (1, 3)
    assert any(
        "3 classes: 'delivery' (12), 'payment' (12), 'return' (12)" in said for said in stack.messages(job["id"])
    )
    again = stack.wait(ranked["id"])
    assert again["status"] == "succeeded", again["error"]
    assert again["hyperparameters"]["lora_rank"] == 16
    assert "bert-qa, version 2" in stack.command_line("get", "fine-tuning-job", ranked["id"]).stdout


GOOD = [(text, label) for label, texts in QUESTIONS.items() for text in texts] * 2
FAULTS = ("one class", "free text", "only validated")
ROWS_THAT_TAKE_A_SECOND = 30_000


class Fault(NamedTuple):
    """Files whose labels are no classes; ``said`` is how the sentence on them begins."""

    train: list[tuple[str, str]]
    held_out: list[tuple[str, str]] | None
    param: str
    said: str


def fault_of(name: str, rows: int) -> Fault:
    """Return a fault in a file of about so many rows."""
    if name == "one class":
        train = [(f"where is parcel {number} ?", "delivery") for number in range(rows)]
        said = f"All {rows:,} records of train.csv have the label 'delivery'; a classifier needs at least two classes. "
        return Fault(train, None, "training_file", f"{said}Add records with other labels.")
    if name == "free text":
        train = [(f"where is parcel {number} ?", f"It is at stop {number}.") for number in range(rows)]
        number = rows if rows <= MAX_CLASSES else f"more than {MAX_CLASSES:,}"
        said = f"train.csv has {number} different labels in {rows:,} records, such as 'It is at stop 0.'"
        return Fault(train, None, "training_file", said)
    known = [(f"is parcel {number} late ?", "delivery") for number in range(rows)]
    said = "held.csv has 1 label that the training file does not have: 'gift', in 1 record."
    return Fault(GOOD, [*known, ("is it a gift ?", "gift")], "validation_file", said)


def put_up(http: httpx.Client, name: str, rows: list[tuple[str, str]]) -> str:
    content = "".join(f"{text},{label}\n" for text, label in [("text", "label"), *rows]).encode()
    answer = http.post("/files", files={"file": (name, content)}, data={"purpose": "fine-tune"})
    return str(answer.raise_for_status().json()["id"])


def request_with(http: httpx.Client, fault: Fault) -> dict[str, str]:
    """Put up the files of a fault, and return the request of a job with them."""
    body = {"base_model": MODEL, "training_file": put_up(http, "train.csv", fault.train)}
    return body if fault.held_out is None else {**body, "validation_file": put_up(http, "held.csv", fault.held_out)}


@pytest.mark.parametrize("name", FAULTS)
def test_labels_that_were_checked_and_are_no_classes_are_refused(stack: Stack, name: str) -> None:
    fault = fault_of(name, 8)
    with stack.http() as http:
        body = request_with(http, fault)
        for file in {"training_file", "validation_file"} & body.keys():
            while http.get(f"/files/{body[file]}").json()["status"] == "uploaded":
                time.sleep(0.05)
            assert http.get(f"/files/{body[file]}").json()["status"] == "processed"  # it is well but for this task
        refused = http.post("/fine_tuning/jobs", json=body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "invalid_data", fault.param)
    assert error["message"].startswith(fault.said)
    if name == "one class":
        written = ("-basemodel", MODEL, "-dataset", body["training_file"])
        answer = stack.command_line("create", "fine-tune-job", *written, "--watch")
        assert answer.returncode == 1 and fault.said in answer.stderr and not answer.stdout


def test_labels_that_turn_out_to_be_no_classes_fail_the_job_and_its_events_say_why(stack: Stack) -> None:
    faults = [fault_of(name, ROWS_THAT_TAKE_A_SECOND) for name in FAULTS]
    with stack.http() as http:
        made = []
        for fault in faults:  # each job is there long before the check of its file has ended
            answer = http.post("/fine_tuning/jobs", json=request_with(http, fault))
            assert answer.is_success, answer.text
            made.append(answer.json())
        for fault, job in zip(faults, made, strict=True):
            assert job["status"] == "validating_files"
            failed = stack.wait(job["id"])
            assert (failed["status"], failed["error"]["code"]) == ("failed", "invalid_data")
            assert failed["error"]["param"] == fault.param and failed["error"]["message"].startswith(fault.said)
            events = http.get(f"/fine_tuning/jobs/{failed['id']}/events").json()["data"]
            assert (events[0]["level"], events[0]["message"]) == ("error", failed["error"]["message"])
            assert failed["attempt"] == 0  # no worker took it
