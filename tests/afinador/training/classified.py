"""Texts with their classes for the tests of classifiers, and the words that tiny models know."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from transformers import BertTokenizer

from afinador.config.spec import BaseModelReference, DataFile
from afinador.training.run_dir import RunDir

PARTS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "is", "very", "and", "film", "food", "place", "service",
         "dis", "##like", "##able", "un", "##fair", "good", "great", "fine", "bad", "slow", "cold", "long", "late")  # fmt: skip
WORDS = {"good": ("good", "great", "fine"), "bad": ("bad", "dislikeable", "unfair"), "slow": ("slow", "late", "long")}
WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of different lengths whose one telling word names the class."""
    numbers = random.Random(seed)
    records = []
    for _ in range(count):
        label = numbers.choice(sorted(WORDS))
        filler = "the film is very " * numbers.randrange(1, 5)
        noun = numbers.choice(("film", "food", "place", "service"))
        records.append({"text": f"{filler}the {noun} is {numbers.choice(WORDS[label])}", "label": label})
    return records


def wordpiece(special: dict[str, str] | None = None) -> BertTokenizer:
    return BertTokenizer(vocab={part: number for number, part in enumerate(PARTS)}, **(special or {}))


def data_file(path: Path, records: list[dict[str, Any]]) -> DataFile:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return DataFile(name=path.name, path=str(path), format="jsonl", sha256="0" * 64, bytes=path.stat().st_size)


def rows_of(file: DataFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file.path).read_text().splitlines()]


def run_card(final: Path, base: BaseModelReference) -> dict[str, Any]:
    """Run the card's own example."""
    names: dict[str, Any] = {}
    card = (final / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(final))
    exec(code.replace(f"path/to/{base.name}", base.path), names)
    return names


def messages(run_dir: RunDir) -> str:
    return "\n".join(row["message"] for row in run_dir.events_after(0)[0])
