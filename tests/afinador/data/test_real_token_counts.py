"""Token counts of real data, beside those of plain calls of the tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from afinador.data.dataset_reports import reading_of, with_tokens
from afinador.data.shapes import Example
from afinador.data.tokens.child import usable_examples
from afinador.data.validation import validate_dataset
from afinador.models.tokenizer_folders import tokenizer_folder
from tests.afinador.real_data_sets import (
    ASKED,
    EXTRACTED,
    FIRST_INSTANCES,
    LABELLED,
    NAMES,
    QUERIES,
    SOLVED,
    WITH_DOCUMENTS,
)

REAL = [
    # file, what is declared of it, tokenizer, task
    ("openai-chat/seed_tasks_chat.jsonl", None, "models/stories260k", "causal_lm"),
    ("openai-chat/toy_chat_fine_tuning.jsonl", None, "models/babyllama-char105", "causal_lm"),
    ("openai-chat/seed_tasks_prompt_completion.csv", None, "tokenizers/mistral-v1", "causal_lm"),
    ("gsm8k/test.jsonl", SOLVED, "tokenizers/gpt2-bbpe", "causal_lm"),
    ("mgsm-es/mgsm_es.tsv", ASKED, "tokenizers/mistral-v1", "causal_lm"),
    ("squad-es/squad-es-prompt-completion.jsonl", None, "tokenizers/mistral-v3", "causal_lm"),
    ("squad-es/squad-es-v1.1-part.json", WITH_DOCUMENTS, "tokenizers/gpt2-bbpe", "causal_lm"),
    ("self-instruct/user_oriented_instructions.jsonl", FIRST_INSTANCES, "tokenizers/gpt2-bbpe", "causal_lm"),
    ("metadata-headers/eval.jsonl", EXTRACTED, "tokenizers/mistral-v3", "causal_lm"),
    ("wikisql/wikisql_dev_4000.jsonl", QUERIES, "tokenizers/gpt2-bbpe", "causal_lm"),
    ("transliteration-ar-en/ar2en-eval.txt", NAMES, "tokenizers/mistral-v1", "causal_lm"),
    ("lm-text/c4_demo.jsonl", None, "tokenizers/gpt2-bbpe", "causal_lm"),
    ("books/es_faust_1.txt", None, "tokenizers/mistral-v3", "causal_lm"),
    ("hf-forms/chat-messages.parquet", None, "models/stories260k", "causal_lm"),
    ("hf-forms/saved-to-disk", None, "tokenizers/bert-base-uncased", "sequence_classification"),
    ("banking77/test.csv", LABELLED, "tokenizers/bert-base-uncased", "sequence_classification"),
    ("tool-calling/glaive_openai_tools.jsonl", None, "tokenizers/mistral-v3", "causal_lm"),
]


MOST_CHARACTERS = 100_000
"""The beginnings of larger files suffice here."""


SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def beginning_of(path: Path, folder: Path) -> Path:
    """Return the file, or a copy of its first lines where its lines are records or parts of a text and there are many."""
    if path.suffix not in (".jsonl", ".txt") or path.stat().st_size <= MOST_CHARACTERS:
        return path
    text = path.read_text(encoding="utf-8")
    copy = folder / path.name
    copy.write_text(text[: text.rindex("\n", 0, MOST_CHARACTERS) + 1], encoding="utf-8")
    return copy


def written_plainly(example: Example) -> str:
    """The plain template, written down once more."""
    if example.text is not None:
        return example.text
    if example.messages is None:
        return f"Human: {example.prompt}\nAssistant: {example.completion.removeprefix(' ')}"
    return "\n".join(f"{SPEAKERS[each['role']]}: {each['content'].removeprefix(' ')}" for each in example.messages)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "declared", "base", "task"), REAL, ids=[row[0] for row in REAL])
def test_real_data_are_counted_as_plain_tokenizer_calls_count_them(
    name, declared, base, task, process, shared_data, tmp_path
):
    path = beginning_of(shared_data / name, tmp_path)
    read = validate_dataset(path, path.name, declared).to_json()
    limits = tokenizer_folder(shared_data / base).limits(task, 128)
    report = with_tokens(read, path, process, shared_data / base, limits, base_model="it", declared=declared)
    tokenizer = AutoTokenizer.from_pretrained(shared_data / base)
    examples = list(usable_examples(**reading_of(path, read, declared)))
    if task == "causal_lm":
        usable = [each for each in examples if not each.tools]
        plain = [tokenizer(written_plainly(each), verbose=False)["input_ids"] for each in usable]
        closings = sum(max(1, sum(m["role"] == "assistant" for m in each.messages or ())) for each in usable)
        lengths, counted = [len(ids) for ids in plain], sum(map(len, plain)) + closings
    else:
        usable = examples
        lengths = [len(tokenizer(each.prompt)["input_ids"]) for each in usable]
        counted = sum(lengths)
    tokens = report["tokens"]
    assert (report["counts"].get("not_tokenised", 0), tokens["records"]) == (len(examples) - len(usable), len(usable))
    # Answers are encoded apart from their prompts: a token may end where a plain call goes on.
    is_exact = task != "causal_lm" or usable[0].text is not None
    assert tokens["tokens"] == pytest.approx(counted, abs=0 if is_exact else 0.003 * counted)
    assert sum(each["records"] for each in tokens["lengths"]["histogram"]) == len(usable)
    if is_exact:
        closing = int(task == "causal_lm")
        assert (tokens["lengths"]["min"], tokens["lengths"]["max"]) == (min(lengths) + closing, max(lengths) + closing)
    if task != "causal_lm":
        assert tokens["truncated"]["records"] == sum(length > 128 for length in lengths)
    shown = process.preview(shared_data / base, reading_of(path, read, declared), limits, records=3)["records"]
    assert [record["line"] for record in shown] == [each.line for each in examples[:3]]
    assert all(record["pieces"] or record["problem"] for record in shown)
