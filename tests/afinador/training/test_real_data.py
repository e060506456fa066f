"""Real data sets of every kind, from the file as it came over verdict, preview and preparation into a few steps."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, set_seed

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.dataset_reports import reading_of
from afinador.data.preparation import prepare_file
from afinador.data.tokens.process import TokenProcess
from afinador.data.validation import validate_dataset
from afinador.models.tokenizer_folders import tokenizer_folder
from afinador.schemas.datasets import DatasetReading
from afinador.storage import sha256_of
from afinador.training import FineTuner
from tests.afinador.training.classified import SIZES

pytestmark = pytest.mark.shared_data

MakeSpec = Callable[..., FineTuningSpec]
Steps = list[dict[str, Any]]
RECORDS, MAX_LENGTH = 16, 256
CASES: dict[str, tuple[str, DatasetReading | None, Steps, str]] = {
    # data set: its file, what is declared of it, how it is prepared, the shape that is trained on
    "banking77": ("banking77/train.csv", DatasetReading(mapping={"text": "text", "label": "category"}),
                  [{"type": "filter", "condition": "label == 'age_limit' or label == 'card_arrival'"}], "text_label"),
    "banking77 as saved": ("hf-forms/saved-to-disk", None,
                           [{"type": "filter", "condition": "label == 'age_limit' or label == 'card_arrival'"}], "text_label"),
    "banking77 as Parquet": ("hf-forms/parquet-repo", DatasetReading(split="test"),
                             [{"type": "filter", "condition": "label in ('age_limit', 'card_arrival', 'exchange_rate', 'lost_or_stolen_card')"}], "text_label"),
    "gsm8k": ("gsm8k/train.jsonl", DatasetReading(mapping={"prompt": "question", "completion": "answer"}),
              [{"type": "transform", "operation": "replace", "field": "completion", "pattern": "<<[^<>]*>>", "replacement": ""}],
              "prompt_completion"),
    "mgsm-es": ("mgsm-es/mgsm_es.tsv", DatasetReading(columns=["prompt", "completion"]), [], "prompt_completion"),
    "squad-es": ("squad-es/squad-es-prompt-completion.jsonl", None,
                 [{"type": "filter", "condition": "words(completion) > 0 and length < 900"}], "prompt_completion"),
    "self-instruct": ("self-instruct/seed_tasks.jsonl", DatasetReading(
        mapping={"prompt": "{instruction}\n{instances.0.input}", "completion": "instances.0.output"}), [], "prompt_completion"),
    "openai-chat": ("openai-chat/seed_tasks_chat.jsonl", None, [{"type": "deduplicate"}], "messages"),
    "openai-chat as Parquet": ("hf-forms/chat-messages.parquet", None, [], "messages"),
    "tool-calling": ("tool-calling/glaive_toolcall_en_demo.json", None,
                     [{"type": "convert", "to": "messages"}], "messages"),
    "metadata-headers": ("metadata-headers/train.jsonl", DatasetReading(mapping={"document": "text", "metadata": "metadata"}),
                         [{"type": "filter", "condition": "length < 1500"}], "document_metadata"),
    "wikisql": ("wikisql/wikisql_dev_4000.jsonl", DatasetReading(mapping={"prompt": "question", "completion": "table_id"}),
                [], "prompt_completion"),
    "transliteration": ("transliteration-ar-en/ar2en-train.txt",
                        DatasetReading(format="csv", delimiter="tab", columns=["source", "target"]),
                        [{"type": "rename", "fields": {"source": "prompt", "target": "completion"}}], "prompt_completion"),
    "lm-text": ("lm-text/c4_demo.jsonl", None, [{"type": "filter", "condition": "words(text) > 20 and length < 900"}], "text"),
    "books": ("books/es_don_quixote.txt", None, [{"type": "filter", "condition": "length > 200 and length < 900"}], "text"),
}  # fmt: skip


def empty_answers(path: Path) -> dict[str, int]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {"empty_field": sum(not row["completion"].strip() for row in rows)}


UNUSABLE: dict[str, Callable[[Path], dict[str, int]]] = {"squad-es": empty_answers}
"""What cannot be trained on in a data set as it came, counted another way."""
TOOLS = (
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for message in messages %}<{{ message.role }}>"
    "{{ message.content }}{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}"
    "</{{ message.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def process() -> Iterator[TokenProcess]:
    with TokenProcess() as started:
        yield started


@pytest.fixture(scope="module")
def stories(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, with a chat template that knows tools."""
    folder = tmp_path_factory.mktemp("models") / "stories"
    shutil.copytree(shared_data / "models" / "stories260k", folder)
    (folder / "chat_template.jinja").write_text(TOOLS)
    return folder


@pytest.fixture(scope="module")
def bert(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT of random weights with the real vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "bert-base-uncased")
    set_seed(1)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_real_data_set_goes_all_the_way_into_training(
    case: str,
    shared_data: Path,
    process: TokenProcess,
    stories: Path,
    bert: Path,
    make_spec: MakeSpec,
    tmp_path: Path,
) -> None:
    name, reading, steps, shape = CASES[case]
    source, made = shared_data / name, tmp_path / "made.jsonl"
    read = validate_dataset(source, source.name, reading)
    if case in UNUSABLE:
        assert UNUSABLE[case](source).items() <= read.counts.items() and len(read.errors) == 10, read.summary()
    else:
        assert read.is_valid, read.summary()
    task, base = ("sequence_classification", bert) if shape == "text_label" else ("causal_lm", stories)
    limits = tokenizer_folder(base).limits(task, MAX_LENGTH)
    seen = process.preview(base, reading_of(source, read.to_json(), reading), limits, records=3)["records"]
    assert len(seen) == 3 and all(record["pieces"] for record in seen)

    sample = {"type": "sample", "records": RECORDS, "seed": 7}
    prepared = prepare_file(source, [*steps, sample], target=made, reading=reading).to_json()
    assert prepared["steps"][-1]["rows_out"] == RECORDS
    report = validate_dataset(made, made.name)
    assert (report.is_valid, report.shape, report.records) == (True, shape, RECORDS), report.summary()
    shown = process.preview(base, reading_of(made, report.to_json()), limits, records=RECORDS)["records"]

    spec = make_spec("lora", base=base, validate=False, generation_examples=0, max_length=MAX_LENGTH)
    spec.task, spec.training_file = (
        task,
        DataFile(name=made.name, path=str(made), format="jsonl", sha256=sha256_of(made), bytes=made.stat().st_size),
    )
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    rows, _ = tuner.run_dir.metrics_after(0)
    assert len(rows) >= 2 and all(math.isfinite(row["train_loss"]) for row in rows)
    assert tuner.run_dir.result()["trained_tokens"] == sum(kept_tokens(record) for record in shown)


def kept_tokens(record: dict[str, Any]) -> int:
    """Count the tokens of a previewed record that are not cut away."""
    counted: dict[str, int] = record["counts"]
    return sum(count for state, count in counted.items() if state != "cut")
