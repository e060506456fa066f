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
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    set_seed,
)

from afinador.config.layers import resolve_hyperparameters
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.models.headers import inspect_model_folder
from afinador.storage import sha256_of
from tests.afinador.training.classified import PARTS, SIZES, WITHOUT_DROPOUT, data_file, reviews, wordpiece

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


@pytest.fixture(scope="session")
def bases(
    tmp_path_factory: pytest.TempPathFactory, base_model: Path, tokenizer: PreTrainedTokenizerFast
) -> dict[str, Path]:
    """Tiny models of random weights; those of BERT's kind with real WordPiece, the others without a pad token."""
    folder, size = tmp_path_factory.mktemp("bases"), len(PARTS)
    set_seed(5)
    bert = BertConfig(vocab_size=size, max_position_embeddings=40, initializer_range=0.1, **SIZES, **WITHOUT_DROPOUT)
    models = {
        "bert": BertForMaskedLM(bert),
        "bert-with-pooler": BertModel(bert),
        "distilbert": DistilBertForMaskedLM(
            DistilBertConfig(vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40)
        ),
        # Positions of RoBERTa begin behind its padding index.
        "roberta": RobertaForMaskedLM(
            RobertaConfig(vocab_size=size, max_position_embeddings=41, pad_token_id=0, **SIZES, **WITHOUT_DROPOUT)
        ),
        "gpt2": GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=128, pad_token_id=None)
        ),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        (tokenizer if name == "gpt2" else wordpiece()).save_pretrained(folder / name)
    return {name: folder / name for name in models} | {"llama": base_model}


@pytest.fixture
def classifying(
    make_spec: Callable[..., FineTuningSpec], bases: dict[str, Path], tmp_path: Path
) -> Callable[..., FineTuningSpec]:
    """Makes specifications of classifiers: base, method, records, hyperparameters."""

    def make(
        base: str | Path = "bert",
        method: str = "lora",
        *,
        records: list[dict[str, Any]] | None = None,
        held_out: list[dict[str, Any]] | None = None,
        **given: Any,
    ) -> FineTuningSpec:
        folder = bases[base] if isinstance(base, str) else base
        spec = make_spec(method, base=folder, **given)
        spec.task = "sequence_classification"
        spec.training_file = data_file(tmp_path / "reviews.jsonl", reviews(40, 1) if records is None else records)
        spec.validation_file = data_file(tmp_path / "others.jsonl", reviews(12, 2) if held_out is None else held_out)
        return spec

    return make
