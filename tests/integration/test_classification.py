"""The specification's own example (sections 4.2 and 7): a BERT learns classes from the command line to the hub."""

from __future__ import annotations

import csv
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForMaskedLM
from transformers import BertTokenizer as WordPiece

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PARTS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "where", "is", "my", "order", "how", "do", "i", "pay", "re",
         "##turn", "##ed", "it", "card", "cash", "late", "parcel", "with", "?")  # fmt: skip
QUESTIONS = {
    "delivery": ("where is my parcel ?", "where is my order ?", "is my parcel late ?"),
    "payment": ("how do i pay ?", "do i pay with card ?", "pay with cash ?"),
    "return": ("how do i return it ?", "where do i return my order ?", "is it returned ?"),
}


@pytest.fixture(scope="module")
def qa_data(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model ``bert-base-uncased`` with real WordPiece and random weights, and the file ``qa_data.csv``."""
    folder = stack.home / "roots" / "bert-base-uncased"
    config = BertConfig(
        vocab_size=len(PARTS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertForMaskedLM(config).save_pretrained(folder)
    WordPiece(vocab={part: number for number, part in enumerate(PARTS)}).save_pretrained(folder)
    with stack.http() as http:
        http.post("/models", json={"name": "bert-base-uncased", "source": str(folder)}).raise_for_status()
        while http.get("/models/bert-base-uncased").json()["status"] != "ready":
            time.sleep(0.1)
    path = tmp_path_factory.mktemp("qa") / "qa_data.csv"
    rows = [(text, label) for label, texts in QUESTIONS.items() for text in texts] * 4
    random.Random(0).shuffle(rows)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    assert stack.command_line("create", "file", str(path)).returncode == 0
    return path


def test_section_7_runs_as_it_is_written(stack: Any, qa_data: Path, tmp_path: Path) -> None:
    made = stack.command_line(
        *("create", "fine-tune-job", "-basemodel", "bert-base-uncased", "-dataset", "qa_data"),
        *("-output-model", "bert-qa", "-epochs", "3", "--json"),
    )
    assert made.returncode == 0, made.stderr
    job = json.loads(made.stdout)
    assert (job["task"], job["tuning_method"]) == ("sequence_classification", "lora")
    ended = stack.wait(job["id"])
    assert ended["status"] == "succeeded", ended["error"]
    shown = stack.command_line("get", "fine-tuning-job", job["id"])
    assert shown.returncode == 0 and "succeeded" in shown.stdout and "bert-qa, version 1" in shown.stdout
    kept = stack.command_line("get", "hub-model", "bert-qa")
    assert kept.returncode == 0 and "sequence_classification" in kept.stdout
    fetched = stack.command_line("get", "hub-model", "bert-qa", "--download", str(tmp_path / "bert-qa"))
    assert fetched.returncode == 0, fetched.stderr
    assert "adapter" in fetched.stdout and "sequence_classification" in fetched.stdout
    config = AutoConfig.from_pretrained(tmp_path / "bert-qa" / "base")
    assert list(config.id2label.values()) == sorted(QUESTIONS)
    base = AutoModelForSequenceClassification.from_pretrained(stack.home / "roots" / "bert-base-uncased", config=config)
    model = PeftModel.from_pretrained(base, tmp_path / "bert-qa")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bert-qa")
    assert model(**tokenizer("where is my order ?", return_tensors="pt")).logits.shape == (1, 3)
    assert any(
        "3 classes: 'delivery' (12), 'payment' (12), 'return' (12)" in said for said in stack.messages(job["id"])
    )


def test_section_4_2_runs_from_a_path_and_its_figures_are_told_everywhere(stack: Any, qa_data: Path) -> None:
    made = stack.command_line(
        *("create", "fine-tune-job", "-basemodel", "bert-base-uncased", "-dataset", str(qa_data)),
        *("-output-model", "bert-qa", "-epochs", "3", "-lora-rank", "16"),
        *("-validation-dataset", str(qa_data), "--set", "eval_steps=2", "--watch"),
    )
    assert made.returncode == 0, made.stderr
    assert "BASE (UNTRAINED HEAD)" in made.stdout and "macro f1" in made.stdout
    with stack.http() as http:
        job = next(job for job in http.get("/fine_tuning/jobs").json()["data"] if job["output_model"] == "bert-qa")
        rows = http.get(f"/fine_tuning/jobs/{job['id']}/metrics").json()["data"]
        checkpoints = http.get(f"/fine_tuning/jobs/{job['id']}/checkpoints").json()["data"]
    valid = [row for row in rows if "valid_loss" in row]
    assert valid and all({"accuracy", "macro_f1"} <= row.keys() for row in valid)
    assert checkpoints[0]["metrics"]["accuracy"] == valid[-1]["accuracy"] == job["metrics"]["tuned"]["accuracy"]
    assert job["metrics"]["base"]["head"] == "untrained"


def test_one_class_is_refused_on_the_command_line_or_fails_the_job_by_its_events(
    stack: Any, qa_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "same.csv").write_text("text,label\nwhere is it ?,delivery\nis it late ?,delivery\n")
    answer = stack.command_line(
        *("create", "fine-tune-job", "-basemodel", "bert-base-uncased", "-dataset", str(tmp_path / "same.csv")),
        "--watch",
    )
    assert answer.returncode != 0
    assert "All 2 records of same.csv have the label 'delivery'" in answer.stdout + answer.stderr
