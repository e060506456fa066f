"""The specification's own example (sections 4.2 and 7): a BERT learns classes from the command line to the hub."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from api.background import LANES
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
FAULTS = {
    "one class": (
        [("where is it ?", "delivery"), ("is it late ?", "delivery")], None, "training_file",
        "All 2 records of train.csv have the label 'delivery'; a classifier needs at least two classes. "
        "Add records with other labels.",
    ),
    "free text": (
        [(f"where is parcel {number} ?", f"It is at stop {number}.") for number in range(8)], None, "training_file",
        "train.csv has 8 different labels in 8 records, such as 'It is at stop 0.'",
    ),
    "only validated": (
        GOOD, [*GOOD, ("is it a gift ?", "gift")], "validation_file",
        "held.csv has 1 label that the training file does not have: 'gift', in 1 record.",
    ),
}  # fmt: skip
"""Rows to train on, rows held out, the field that is at fault, and how the sentence begins."""
ROWS_THAT_TAKE_SECONDS = 60_000


def put_up(http: httpx.Client, name: str, rows: Iterable[tuple[str, str]]) -> str:
    content = "".join(f"{text},{label}\n" for text, label in [("text", "label"), *rows]).encode()
    answer = http.post("/files", files={"file": (name, content)}, data={"purpose": "fine-tune"})
    return str(answer.raise_for_status().json()["id"])


def request_with(http: httpx.Client, fault: str) -> dict[str, str]:
    """Put up the files of a fault, and return the request of a job with them."""
    rows, held_out, _, _ = FAULTS[fault]
    body = {"base_model": MODEL, "training_file": put_up(http, "train.csv", rows)}
    return body if held_out is None else {**body, "validation_file": put_up(http, "held.csv", held_out)}


@pytest.mark.parametrize("fault", FAULTS)
def test_labels_that_were_checked_and_are_no_classes_are_refused(stack: Stack, fault: str) -> None:
    _, _, param, said = FAULTS[fault]
    with stack.http() as http:
        body = request_with(http, fault)
        for file in {"training_file", "validation_file"} & body.keys():
            while http.get(f"/files/{body[file]}").json()["status"] == "uploaded":
                time.sleep(0.05)
            assert http.get(f"/files/{body[file]}").json()["status"] == "processed"  # it is well but for this task
        refused = http.post("/fine_tuning/jobs", json=body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "invalid_data", param)
    assert error["message"].startswith(said)
    if fault == "one class":
        written = ("-basemodel", MODEL, "-dataset", body["training_file"])
        answer = stack.command_line("create", "fine-tune-job", *written, "--watch")
        assert answer.returncode == 1 and said in answer.stderr and not answer.stdout


def test_labels_that_turn_out_to_be_no_classes_fail_the_job_and_its_events_say_why(stack: Stack) -> None:
    with stack.http() as http:
        # As many large files as are checked at once keep the small ones waiting for their check.
        large = [
            put_up(http, f"large-{lane}.csv", ((f"{lane} {row}", "a") for row in range(ROWS_THAT_TAKE_SECONDS)))
            for lane in range(LANES["check"])
        ]
        made = {}
        for fault in FAULTS:
            answer = http.post("/fine_tuning/jobs", json=request_with(http, fault))
            assert answer.is_success, answer.text
            made[fault] = answer.json()
        for fault, (_, _, param, said) in FAULTS.items():
            assert made[fault]["status"] == "validating_files"
            failed = stack.wait(made[fault]["id"])
            assert (failed["status"], failed["error"]["code"]) == ("failed", "invalid_data")
            assert failed["error"]["param"] == param and failed["error"]["message"].startswith(said)
            events = http.get(f"/fine_tuning/jobs/{failed['id']}/events").json()["data"]
            assert (events[0]["level"], events[0]["message"]) == ("error", failed["error"]["message"])
            assert failed["attempt"] == 0  # no worker took it
        for file in large:
            http.delete(f"/files/{file}").raise_for_status()
