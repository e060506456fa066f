"""Real data sets of every shape through a preparation; the figures are counted another way beside."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.data.files.saved_datasets import read_saved_dataset
from afinador.data.preparation import Pipeline, prepare_file, run_to_file
from afinador.data.records import Record
from afinador.data.shapes import to_example
from afinador.data.validation import validate_dataset

pytestmark = pytest.mark.shared_data

Rows = list[dict[str, Any]]


def json_lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def made(folder: Path, part: str | None = None) -> Rows:
    return json_lines(folder / (f"made-{part}.jsonl" if part else "made.jsonl"))


def unique(rows: Rows) -> int:
    return len({json.dumps(row, sort_keys=True) for row in rows})


def banking(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = list(csv.DictReader(path.open(newline="")))
    train, validation = made(folder, "train"), made(folder, "validation")
    assert len(train) + len(validation) == unique(rows) == told["steps"][0]["rows_out"]
    whole = Counter(row["category"] for row in rows)
    assert {row["label"] for row in validation} == whole.keys()
    assert all(abs(Counter(r["label"] for r in validation)[name] - count / 10) < 1.01 for name, count in whole.items())
    assert not {row["text"] for row in train} & {row["text"] for row in validation}


def gsm8k(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    wanted = [row for row in rows if len(row["question"].split()) <= 40]
    kept = made(folder)
    assert len(kept) == len(wanted) == told["steps"][0]["rows_out"]
    answers = [re.sub(r"<<[^<>]*>>", "", row["answer"]) for row in wanted]
    assert [row["messages"][1]["content"] for row in kept] == answers
    assert told["steps"][1]["changed"] == sum("<<" in row["answer"] for row in wanted)


def squad(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    documents = {row["prompt"].split("\n\n")[0] for row in rows}
    parts = {part: made(folder, part) for part in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == len(rows)
    contexts = {part: {row["prompt"].split("\n\n")[0] for row in found} for part, found in parts.items()}
    assert sum(map(len, contexts.values())) == len(documents), "no paragraph is in two parts"


def chats(path: Path, folder: Path, told: dict[str, Any]) -> None:
    assert len(made(folder)) == len(json_lines(path)) == told["records"]
    turns = sum(len(row["messages"]) for row in json_lines(path))
    assert sum(len(row["conversations"]) for row in made(folder)) == turns


def glaive(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json.loads(path.read_text())
    calls = sum(turn["from"] == "function_call" for row in rows for turn in row["conversations"])
    kept = made(folder)
    assert len(kept) == len(rows)
    assert sum(bool(message.get("tool_calls")) for row in kept for message in row["messages"]) == calls


def headers(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    kept = made(folder)
    assert len(kept) == len(rows)
    assert [row["document"] for row in kept] == [unicodedata.normalize("NFC", row["text"]) for row in rows]
    assert Counter(row["type"] for row in kept) == Counter(row["language"] for row in rows)


def names(path: Path, folder: Path, told: dict[str, Any]) -> None:
    lines = path.read_text().splitlines()[1:]
    assert told["records"] == len(lines)
    assert sorted(row["target"] for row in made(folder)) == sorted(line.split("\t")[1].upper() for line in lines)


def books(path: Path, folder: Path, told: dict[str, Any]) -> None:
    text = path.read_text(encoding="utf-8-sig")
    documents = [part for part in re.split(r"\n[ \t\r]*\n", text.replace("\r\n", "\n")) if part.strip()]
    assert told["records"] == len(documents)
    assert len(made(folder)) == sum(len(part.strip("\n")) > 200 for part in documents)


def web(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    assert len(made(folder)) == 100 and all(row in rows for row in made(folder))


def wiki_sql(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    assert len(made(folder)) == sum(row["sql"]["agg"] == 3 for row in rows)


def instructions(path: Path, folder: Path, told: dict[str, Any]) -> None:
    rows = json_lines(path)
    assert told["records"] == len(rows)
    assert len(made(folder)) == sum(not row["is_classification"] for row in rows)


CASES: dict[str, tuple[str, list[dict[str, Any]], str | None, Callable[[Path, Path, dict[str, Any]], None]]] = {
    # data set: its file, steps, the shape that comes out, what is counted another way
    "banking77": (
        "banking77/test.csv",
        [{"type": "deduplicate"}, {"type": "rename", "fields": {"category": "label"}},
         {"type": "split", "validation": 0.1, "stratify": "label", "group": "text"}],
        "text_label", banking,
    ),
    "gsm8k": (
        "gsm8k/test.jsonl",
        [{"type": "filter", "condition": "words(question) <= 40"},
         {"type": "transform", "operation": "replace", "field": "answer", "pattern": "<<[^<>]*>>", "replacement": ""},
         {"type": "rename", "fields": {"question": "prompt", "answer": "completion"}}, {"type": "convert", "to": "messages"}],
        "messages", gsm8k,
    ),
    "squad-es": (
        "squad-es/squad-es-prompt-completion.jsonl",
        [{"type": "transform", "operation": "template", "field": "context", "template": "{prompt}"},
         {"type": "transform", "operation": "replace", "field": "context", "pattern": "(?s)\n\n.*", "replacement": ""},
         {"type": "split", "validation": 0.1, "test": 0.1, "group": "context"}, {"type": "remove", "fields": ["context"]}],
        "prompt_completion", squad,
    ),
    "openai-chat": ("openai-chat/seed_tasks_chat.jsonl", [{"type": "convert", "to": "sharegpt"}], "sharegpt", chats),
    "tool-calling": ("tool-calling/glaive_toolcall_en_demo.json", [{"type": "convert", "to": "messages"}], "messages", glaive),
    "metadata-headers": (
        "metadata-headers/train.jsonl",
        [{"type": "rename", "fields": {"text": "document", "language": "type"}},
         {"type": "transform", "operation": "nfc"}],
        "document_metadata", headers,
    ),
    "transliteration": (
        "transliteration-ar-en/ar2en-eval.txt", [{"type": "transform", "operation": "uppercase"}, {"type": "shuffle"}],
        "source_target", names,
    ),
    "books": ("books/es_don_quixote.txt", [{"type": "filter", "condition": "length > 200"}], "text", books),
    "lm-text": ("lm-text/c4_demo.jsonl", [{"type": "sample", "records": 100}], "text", web),
    "wikisql": ("wikisql/wikisql_dev_4000.jsonl", [{"type": "filter", "condition": "sql.agg == 3"}], None, wiki_sql),
    "self-instruct": (
        "self-instruct/seed_tasks.jsonl",
        [{"type": "filter", "condition": "is_classification == false"}], None, instructions,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_real_data_sets_are_prepared(case: str, shared_data: Path, tmp_path: Path) -> None:
    name, steps, shape, count = CASES[case]
    source = original = shared_data / name
    if case == "transliteration":  # two columns without a header
        source = tmp_path / "names.tsv"
        source.write_text("source\ttarget\n" + original.read_text())
    told = prepare_file(source, steps, target=tmp_path / "made.jsonl").to_json()
    count(source, tmp_path, told)
    assert [step["rows_in"] for step in told["steps"][1:]] == [step["rows_out"] for step in told["steps"][:-1]]
    for file in told["files"]:
        report = validate_dataset(Path(file["path"]), Path(file["path"]).name)
        assert report.records == file["records"] and report.shape == (shape or report.shape)


def test_language_of_real_texts_is_told(shared_data: Path, tmp_path: Path) -> None:
    for name, language, share in (("es_don_quixote.txt", "es", 0.95), ("en_alice.txt", "en", 0.95)):
        steps = [{"type": "filter", "condition": "length > 300"}, {"type": "sample", "records": 100},
                 {"type": "filter", "condition": f"language == '{language}'"}]  # fmt: skip
        told = prepare_file(shared_data / "books" / name, steps, target=tmp_path / f"{name}.jsonl").to_json()
        assert told["steps"][2]["rows_out"] >= share * told["steps"][2]["rows_in"] > 50


def test_real_questions_get_documents_that_do_not_answer_them(shared_data: Path, tmp_path: Path) -> None:
    nested = json.loads((shared_data / "squad-es" / "squad-es-v1.1-part.json").read_text())
    paragraphs = [each for article in nested["data"] for each in article["paragraphs"]][:60]
    rows = [
        {"question": question["question"], "document": each["context"], "answer": question["answers"][0]["text"]}
        for each in paragraphs
        for question in each["qas"][:3]
        if question["question"].strip()
    ]
    found = (Record(number, row) for number, row in enumerate(rows, start=1))
    step = {"type": "raft", "distractors": 4, "without_oracle": 0.25, "seed": 5}
    answered = {"type": "filter", "condition": "words(answer) > 0"}  # one of the translated answers is empty
    prepared = run_to_file(found, "squad", Pipeline([answered, step]), tmp_path / "made.jsonl", "jsonl")
    kept, read = made(tmp_path), len(rows)
    rows = [row for row in rows if row["answer"].strip()]
    assert (prepared.read, len(kept)) == (read, len(rows))
    without = sum("oracle" not in row for row in kept)
    assert without == round(len(kept) / 4)
    for row, source in zip(kept, rows, strict=True):
        assert source["document"] not in row["distractors"] and row.get("oracle") in (None, source["document"])
        assert len(set(row["distractors"])) == (4 if "oracle" in row else 5)
    report = validate_dataset(tmp_path / "made.jsonl", "made.jsonl")
    assert (report.shape, report.errors) == ("raft", [])
    assert not isinstance(to_example(Record(1, kept[0]), "raft"), str)


def test_saved_data_sets_of_the_hub_s_library_are_prepared(shared_data: Path, tmp_path: Path) -> None:
    import datasets

    folder = shared_data / "hf-forms" / "saved-to-disk"
    steps = Pipeline([{"type": "filter", "condition": "words(text) > 10"}])
    told = run_to_file(read_saved_dataset(folder), "saved", steps, tmp_path / "made.jsonl", "jsonl").to_json()
    rows = datasets.load_from_disk(str(folder))["train"]
    assert told["records"] == len(rows)
    assert told["steps"][0]["rows_out"] == sum(len(text.split()) > 10 for text in rows["text"])
