"""The specification's own example (sections 4.2 and 7): a BERT learns classes from the command line to the hub."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from tests.integration.questions import QUESTIONS, model_folder, prepare
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


def test_one_class_is_refused_on_the_command_line_or_fails_the_job_by_its_events(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "same.csv").write_text("text,label\nwhere is it ?,delivery\nis it late ?,delivery\n")
    answer = stack.command_line(
        *("create", "fine-tune-job", "-basemodel", "bert-base-uncased", "-dataset", str(tmp_path / "same.csv")),
        "--watch",
    )
    assert answer.returncode != 0
    assert "All 2 records of same.csv have the label 'delivery'" in answer.stdout + answer.stderr
