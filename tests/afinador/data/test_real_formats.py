"""Real data sets are read whole, by numbers counted another way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from afinador.data.files.readers import detect_format
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.written_formats import rows


def lines_of(path: Path) -> int:
    return sum(1 for line in path.read_bytes().split(b"\n") if line.strip())


def documents_of(path: Path) -> int:
    return sum(1 for part in re.split(r"\n\s*\n", path.read_text("utf-8-sig")) if part.strip())


def lines_of_train(path: Path) -> int:
    return lines_of(path / "train.jsonl")


def items_of(path: Path) -> int:
    document = json.loads(path.read_text())
    return len(document if isinstance(document, list) else document["data"])


REAL: dict[str, tuple[DatasetReading | None, Callable[[Path], int] | int, str]] = {
    # file: what is declared, how many records it has, format
    "banking77/train.csv": (DatasetReading(mapping={"text": "text", "label": "category"}), 10003, "csv"),
    "gsm8k/train.jsonl": (DatasetReading(mapping={"prompt": "question", "completion": "answer"}), lines_of, "jsonl"),
    "mgsm-es/mgsm_es.tsv": (DatasetReading(columns=["prompt", "completion"]), lines_of, "csv"),
    "squad-es/squad-es-prompt-completion.jsonl": (None, lines_of, "jsonl"),
    "squad-es/squad-es-v1.1-part.json": (None, items_of, "json"),
    "self-instruct/seed_tasks.jsonl": (
        DatasetReading(mapping={"prompt": "{instruction}\n{instances.0.input}", "completion": "instances.0.output"}),
        lines_of,
        "jsonl",
    ),
    "openai-chat/toy_chat_10.jsonl": (None, lines_of, "jsonl"),
    "openai-chat/seed_tasks_prompt_completion.csv": (None, 175, "csv"),
    "tool-calling/glaive_toolcall_en_demo.json": (None, items_of, "json"),
    "tool-calling/glaive_openai_tools.jsonl": (None, lines_of, "jsonl"),
    "metadata-headers/train.jsonl": (DatasetReading(mapping={"document": "text", "metadata": "metadata"}), lines_of, "jsonl"),
    "wikisql/wikisql_dev_4000.jsonl": (None, lines_of, "jsonl"),
    "transliteration-ar-en/ar2en-train.txt": (
        DatasetReading(format="csv", delimiter="tab", columns=["source", "target"]), lines_of, "csv",
    ),
    "lm-text/wiki_demo.txt": (None, documents_of, "text"),
    "lm-text/c4_demo.jsonl": (None, lines_of, "jsonl"),
    "books/en_alice.txt": (None, documents_of, "text"),
    "books/es_faust_1.txt": (None, documents_of, "text"),
    "hf-forms/saved-to-disk": (None, 1251, "folder"),
    "hf-forms/parquet-repo": (DatasetReading(split="test"), 385, "folder"),
    "hf-forms/jsonl-repo": (None, lines_of_train, "folder"),
    "hf-forms/chat-messages.parquet": (None, 150, "parquet"),
}  # fmt: skip


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL)
def test_real_data_set_is_read_whole(shared_data: Path, name: str) -> None:
    reading, counted, format = REAL[name]
    path = shared_data / name
    assert detect_format(path, path.name, reading) == format
    found = rows(path, reading)
    assert len(found) == (counted if isinstance(counted, int) else counted(path))
    if reading is not None and reading.mapping:
        assert all(row.keys() == reading.mapping.keys() for row in found)


@pytest.mark.shared_data
def test_forms_of_one_data_set_hold_the_same_records(shared_data: Path) -> None:
    folder = shared_data / "hf-forms"
    saved = rows(folder / "saved-to-disk")
    assert saved == rows(folder / "parquet-repo")
    assert saved[0].keys() == {"text", "label"} and isinstance(saved[0]["label"], str)
    assert rows(folder / "jsonl-repo") == rows(folder / "chat-messages.parquet")
