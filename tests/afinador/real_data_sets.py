"""The real data sets of ../shared/data: what is declared of each, how it is prepared, what it holds.

What a file holds is read here without a line of the project's, so that the figures of reports can be held against it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow import parquet

from afinador.data.shapes import Shape
from afinador.schemas.datasets import DatasetReading


class Row(NamedTuple):
    """What is learnt of a record: its texts, the answer last, and all else that tells it from others."""

    texts: tuple[str, ...]
    other: str = ""


Count = Callable[[Path], list[Row]]


@dataclass(frozen=True)
class RealFile:
    """A file or a folder, or a part of one.

    Attributes:
        name: Below ../shared/data.
        rows: Reads it, in its order.
        declared: How the project is to read it.
    """

    name: str
    rows: Count
    declared: DatasetReading | None = None


@dataclass(frozen=True)
class RealSet:
    """What a model is trained on, and what is held out.

    Attributes:
        training: Is learnt.
        shape: Of what is learnt, after the preparation.
        steps: Prepare all files of it.
        held_out: The first measures the training, all are compared with it.
    """

    training: RealFile
    shape: Shape
    steps: list[dict[str, Any]] = field(default_factory=list)
    held_out: list[RealFile] = field(default_factory=list)


def objects(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def of_objects(*names: str) -> Count:
    return lambda path: [Row(tuple(row[name] for name in names)) for row in objects(path)]


def of_csv(*names: str) -> Count:
    def rows(path: Path) -> list[Row]:
        with path.open(newline="", encoding="utf-8") as file:
            return [Row(tuple(row[name] for name in names)) for row in csv.DictReader(file)]

    return rows


def of_tabs(path: Path) -> list[Row]:
    return [Row(tuple(line.split("\t"))) for line in path.read_text(encoding="utf-8").split("\n") if line]


def of_paragraphs(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    return [Row((part.strip("\n"),)) for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def of_lines(path: Path) -> list[Row]:
    return [Row((line,)) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def of_saved(split: str) -> Count:
    def rows(path: Path) -> list[Row]:
        import datasets

        saved = datasets.load_from_disk(str(path))[split]
        names = saved.features["label"].names
        return [Row((row["text"], names[row["label"]])) for row in saved]

    return rows


def of_parquet(split: str) -> Count:
    def rows(path: Path) -> list[Row]:
        table = parquet.read_table(path / "data" / f"{split}-00000-of-00001.parquet")
        names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        return [Row((row["text"], names[row["label"]])) for row in table.to_pylist()]

    return rows


def conversation(messages: list[dict[str, Any]], tools: Any = None) -> Row:
    """Tell a conversation of OpenAI's form by what is said and called in it."""
    calls = [call["function"]["arguments"] for said in messages for call in said.get("tool_calls") or ()]
    texts = [said["content"] or "" for said in messages]
    others = [{name: value for name, value in said.items() if name != "content"} for said in messages]
    return Row((*calls, *texts), json.dumps([others, tools]))


def of_chats(path: Path) -> list[Row]:
    return [conversation(row["messages"], row.get("tools")) for row in objects(path)]


def of_chats_in_parquet(path: Path) -> list[Row]:
    return [conversation(row["messages"]) for row in parquet.read_table(path).to_pylist()]


def of_sharegpt(path: Path) -> list[Row]:
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        texts = []
        for turn in row["conversations"]:
            is_call = turn["from"] == "function_call"
            call = json.loads(turn["value"])["arguments"] if is_call else None
            texts.append(json.dumps(call, ensure_ascii=False) if is_call else turn["value"])
        rows.append(Row(tuple(texts), json.dumps([[turn["from"] for turn in row["conversations"]], row["tools"]])))
    return rows


def of_part(count: Count, name: str) -> Count:
    return lambda path: count(path / name)


def of_first_instances(path: Path) -> list[Row]:
    rows = []
    for row in objects(path):
        given = row["instances"][0]
        asked = f"{row['instruction']}\n\n{given['input']}" if given["input"].strip() else row["instruction"]
        rows.append(Row((asked, given["output"])))
    return rows


def of_first_instances_in_a_template(path: Path) -> list[Row]:
    first = [(row["instruction"], row["instances"][0]) for row in objects(path)]
    return [Row((f"{instruction}\n{given['input']}", given["output"])) for instruction, given in first]


def of_documents(path: Path) -> list[Row]:
    asked = "Extract the metadata of the following document as JSON."
    return [
        Row((f"{asked}\n\n{row['text']}", json.dumps(row["metadata"], ensure_ascii=False))) for row in objects(path)
    ]


def of_questions_with_documents(path: Path) -> list[Row]:
    """Read of each article the first question, and its first three paragraphs as documents."""
    rows = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        documents = [paragraph["context"] for paragraph in article["paragraphs"][:3]]
        question = article["paragraphs"][0]["qas"][0]
        headed = [f"Document {number}:\n" for number in (1, 2, 3)]
        asked = "".join([*headed, *documents, "\n\n" * 3, "Question: ", question["question"]])
        rows.append(Row((asked, question["answers"][0]["text"])))
    return rows


def of_queries(path: Path) -> list[Row]:
    return [Row((row["question"], json.dumps(row["sql"], ensure_ascii=False))) for row in objects(path)]


SHORT_TEXTS = [{"type": "filter", "condition": "length > 200 and length < 900"}]
TWO_LABELS = [{"type": "filter", "condition": "label == 'age_limit' or label == 'card_arrival'"}]
LABELLED = DatasetReading(mapping={"text": "text", "label": "category"})
SOLVED = DatasetReading(mapping={"prompt": "question", "completion": "answer"})
ASKED = DatasetReading(columns=["prompt", "completion"])
EXTRACTED = DatasetReading(mapping={"document": "text", "metadata": "metadata"})
NAMES = DatasetReading(format="csv", delimiter="tab", columns=["source", "target"])
QUERIES = DatasetReading(mapping={"prompt": "question", "completion": "{sql}"})
IN_A_TEMPLATE = DatasetReading(
    mapping={"prompt": "{instruction}\n{instances.0.input}", "completion": "instances.0.output"}
)
FIRST_INSTANCES = DatasetReading(
    mapping={"instruction": "instruction", "input": "instances.0.input", "output": "instances.0.output"}
)
WITH_DOCUMENTS = DatasetReading(
    mapping={
        "question": "paragraphs.0.qas.0.question",
        "oracle": "paragraphs.0.context",
        "distractors": ["{paragraphs.1.context}", "{paragraphs.2.context}"],
        "answer": "paragraphs.0.qas.0.answers.0.text",
    }
)
LINES = DatasetReading(text_unit="lines")
TEST = DatasetReading(split="test")

SETS: dict[str, RealSet] = {
    "banking77": RealSet(
        RealFile("banking77/train.csv", of_csv("text", "category"), LABELLED), "text_label", TWO_LABELS,
        [RealFile("banking77/test.csv", of_csv("text", "category"), LABELLED)],
    ),
    "banking77 as saved": RealSet(
        RealFile("hf-forms/saved-to-disk", of_saved("train")), "text_label", TWO_LABELS,
        [RealFile("hf-forms/saved-to-disk", of_saved("test"), TEST)],
    ),
    "banking77 as Parquet": RealSet(
        RealFile("hf-forms/parquet-repo", of_parquet("train")), "text_label", TWO_LABELS,
        [RealFile("hf-forms/parquet-repo", of_parquet("test"), TEST)],
    ),
    "gsm8k": RealSet(
        RealFile("gsm8k/train.jsonl", of_objects("question", "answer"), SOLVED), "prompt_completion",
        [{"type": "transform", "operation": "replace", "field": "completion", "pattern": "<<[^<>]*>>", "replacement": ""}],
        [RealFile("gsm8k/test.jsonl", of_objects("question", "answer"), SOLVED)],
    ),
    "mgsm-es": RealSet(
        RealFile("mgsm-es/mgsm_es.tsv", of_tabs, ASKED), "prompt_completion", [],
        [RealFile("mgsm-es/mgsm_en.tsv", of_tabs, ASKED)],
    ),
    "squad-es": RealSet(
        RealFile("squad-es/squad-es-prompt-completion.jsonl", of_objects("prompt", "completion")), "prompt_completion",
        [{"type": "filter", "condition": "words(completion) > 0 and length < 900"}],
    ),
    "squad-es with its documents": RealSet(
        RealFile("squad-es/squad-es-v1.1-part.json", of_questions_with_documents, WITH_DOCUMENTS), "raft",
        [{"type": "filter", "condition": "words(answer) > 0"}],
    ),
    "self-instruct": RealSet(
        RealFile("self-instruct/seed_tasks.jsonl", of_first_instances_in_a_template, IN_A_TEMPLATE), "prompt_completion"
    ),
    "self-instruct of users": RealSet(
        RealFile("self-instruct/user_oriented_instructions.jsonl", of_first_instances, FIRST_INSTANCES), "alpaca"
    ),
    "openai-chat": RealSet(
        RealFile("openai-chat/seed_tasks_chat.jsonl", of_chats), "messages", [{"type": "deduplicate"}]
    ),
    "openai-chat as CSV": RealSet(
        RealFile("openai-chat/seed_tasks_prompt_completion.csv", of_csv("prompt", "completion")), "prompt_completion"
    ),
    "openai-chat as Parquet": RealSet(RealFile("hf-forms/chat-messages.parquet", of_chats_in_parquet), "messages"),
    "openai-chat as a repository": RealSet(
        RealFile("hf-forms/jsonl-repo", of_part(of_chats, "train.jsonl")), "messages", [],
        [RealFile("hf-forms/jsonl-repo", of_part(of_chats, "test.jsonl"), TEST)],
    ),
    "openai-chat, toys": RealSet(
        RealFile("openai-chat/toy_chat_10.jsonl", of_chats), "messages", [{"type": "deduplicate"}],
        [RealFile("openai-chat/toy_chat_fine_tuning.jsonl", of_chats)],
    ),
    "tool-calling": RealSet(RealFile("tool-calling/glaive_toolcall_en_demo.json", of_sharegpt), "sharegpt"),
    "tool-calling as OpenAI has it": RealSet(
        RealFile("tool-calling/glaive_openai_tools.jsonl", of_chats), "messages", [{"type": "deduplicate", "near": 0.8}]
    ),
    "metadata-headers": RealSet(
        RealFile("metadata-headers/train.jsonl", of_documents, EXTRACTED), "document_metadata",
        [{"type": "filter", "condition": "length < 1500"}],
        [RealFile("metadata-headers/eval.jsonl", of_documents, EXTRACTED)],
    ),
    "wikisql": RealSet(RealFile("wikisql/wikisql_dev_4000.jsonl", of_queries, QUERIES), "prompt_completion"),
    "transliteration": RealSet(
        RealFile("transliteration-ar-en/ar2en-train.txt", of_tabs, NAMES), "source_target", [],
        [
            RealFile("transliteration-ar-en/ar2en-eval.txt", of_tabs, NAMES),
            RealFile("transliteration-ar-en/ar2en-test.txt", of_tabs, NAMES),
        ],
    ),
    "lm-text": RealSet(
        RealFile("lm-text/c4_demo.jsonl", of_objects("text")), "text",
        [{"type": "filter", "condition": "words(text) > 20 and length < 900"}],
    ),
    "lm-text in long lines": RealSet(
        RealFile("lm-text/wiki_demo.txt", of_lines, LINES), "text",
        [{"type": "filter", "condition": "length < 4000"}],
    ),
    "books in Spanish": RealSet(
        RealFile("books/es_don_quixote.txt", of_paragraphs), "text", SHORT_TEXTS,
        [RealFile("books/es_faust_1.txt", of_paragraphs)],
    ),
    "books in English": RealSet(
        RealFile("books/en_pinocchio.txt", of_paragraphs), "text", SHORT_TEXTS,
        [RealFile("books/en_alice.txt", of_paragraphs)],
    ),
}  # fmt: skip

REFUSED: dict[str, tuple[DatasetReading | None, str]] = {
    # what cannot be trained on as it is: what is declared, and how it is refused
    "tool-calling/reason_tool_use_50.jsonl": (
        None,
        r"^50 of 50 records cannot be used: Line 1: messages\[0\]\.content\[0\] has its text under 'value', which is called "
        r"'text' in .+ Rename that key in the file, .+ And 400 more like it\. Line 2: .+ without 'tool_call_id'\. .+ 41 more",
    ),
    "squad-es/squad-es-v1.1-part.json": (
        None, r"^26 of 26 records .+ Record 1 has the fields 'title', 'paragraphs'; allowed are .+ --mapping, .+ 25 more",
    ),
    "wikisql/wikisql_dev_4000.jsonl": (
        DatasetReading(mapping={"prompt": "question", "completion": "sql"}),
        r"^4,000 of 4,000 records .+ Line 1: 'completion' is an object of 3 fields, but must be text\. Write it as text",
    ),
    "banking77/categories.json": (
        None, r"^77 of 77 records .+ Record 1 is a text of 12 characters, but must be an object such as \{.+\}\. .+ 76 more",
    ),
}  # fmt: skip
