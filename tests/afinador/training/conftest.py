"""A tiny model of random weights, its tokenizer, data, and runs on them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported: waiting threads that spin slow everything down beside other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from afinador.config.hyperparameters import resolve_hyperparameters
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.models.headers import inspect_model_folder
from afinador.storage import sha256_of

ANIMALS = ("cat", "dog", "frog", "hen", "ant", "goose", "lizard", "bear")
SOUNDS = ("meow", "woof", "croak", "cluck", "nothing at all", "honk honk honk", "hiss", "grrr, very loudly indeed")


def _records(count: int, seed: int) -> list[dict[str, str]]:
    """Prompts and answers of very different lengths, so that micro-batches are unequal."""
    numbers = random.Random(seed)
    records = []
    for _ in range(count):
        animal = numbers.randrange(len(ANIMALS))
        story = " and then".join(["it sleeps"] * numbers.randrange(1, 6))
        records.append({"prompt": f"What says the {ANIMALS[animal]} when {story}?", "completion": SOUNDS[animal]})
    return records


def _write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with BOS, EOS and no pad token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bpe.train_from_iterator([" ".join(record.values()) for record in _records(200, 0)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A Llama of 2 layers with random weights, saved with its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    set_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 prompts with answers."""
    return _write(tmp_path_factory.mktemp("data") / "animals.jsonl", _records(50, 1))


@pytest.fixture(scope="session")
def validation_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 others."""
    return _write(tmp_path_factory.mktemp("data") / "held-out.jsonl", _records(12, 2))


@pytest.fixture
def make_spec(base_model: Path, training_file: Path, validation_file: Path) -> Callable[..., FineTuningSpec]:
    """Makes specifications: hyperparameters as keywords, ``validate=False`` leaves the validation file out."""

    def make(method: str = "lora", *, base: Path = base_model, validate: bool = True, **given: Any) -> FineTuningSpec:
        small = {
            "batch_size": 8,
            "epochs": 1,
            "logging_steps": 1,
            "learning_rate": 1e-3,
            "generation_max_new_tokens": 8,
        }
        hyperparameters, sources = resolve_hyperparameters(method, [("request", small | given)])
        model = inspect_model_folder(base)
        return FineTuningSpec(
            job_id="ftjob-1",
            job_name="animals",
            organization_id="org-1",
            organization="default",
            task="causal_lm",
            tuning_method=method,
            base_model=BaseModelReference(
                name="tiny-llama",
                path=str(base),
                architecture=model.architecture,
                sha256=model.sha256,
                parameters=model.parameters,
                license="apache-2.0",
            ),
            training_file=_data_file(training_file),
            validation_file=_data_file(validation_file) if validate else None,
            output=Output(name="animal-sounds", kind="model" if method == "full" else "adapter", alias="ft:t:d:a:1"),
            hyperparameters=hyperparameters,
            seed=3,
            sources=sources,
            code_version="0.1.0",
        )

    return make


def _data_file(path: Path) -> DataFile:
    return DataFile(name=path.name, path=str(path), format="jsonl", sha256=sha256_of(path), bytes=path.stat().st_size)
