"""Classifiers: the engine against plain Transformers and PEFT, and what is published."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    get_linear_schedule_with_warmup,
    pipeline,
    set_seed,
)

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.batching import epoch_batches
from afinador.training import FineTuner
from afinador.training.run_dir import RunDir
from tests.afinador.training.classified import SIZES, WORDS, reviews, rows_of, run_card

MakeSpec = Callable[..., FineTuningSpec]


def plain_classifier(path: str, names: list[str], seed: int) -> torch.nn.Module:
    """Transformers' classifier with a head that is drawn from the seed as its documentation says."""
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(names), dtype=torch.float32)
    weights = load_file(Path(path) / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    for name, layer in model.named_modules():
        is_new = name.startswith(("classifier", "score", "pre_classifier"))
        is_new |= "pooler" in name and not any("pooler" in key for key in weights)
        if is_new and isinstance(layer, torch.nn.Linear):
            layer.weight.data.normal_(0.0, model.config.initializer_range, generator=generator)
            if layer.bias is not None:
                layer.bias.data.zero_()
    return model


def plain_losses(spec: FineTuningSpec) -> list[float]:
    """Each text by itself, so without any padding; the mean over the texts of a batch."""
    settings, names = spec.hyperparameters, sorted(WORDS)
    tokenizer = AutoTokenizer.from_pretrained(spec.base_model.path)
    examples = [(tokenizer(row["text"])["input_ids"], names.index(row["label"])) for row in rows_of(spec.training_file)]
    model = plain_classifier(spec.base_model.path, names, spec.seed)
    torch.manual_seed(spec.seed)
    if spec.tuning_method == "lora":
        new = ["pooler"] if "bert.pooler.dense.weight" in model.state_dict() else []
        config = LoraConfig(
            r=8, lora_alpha=settings.lora_alpha, target_modules="all-linear", modules_to_save=new, task_type="SEQ_CLS"
        )
        model = get_peft_model(model, config)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    total = settings.epochs * -(-len(examples) // settings.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup_steps, total)
    losses = []
    for epoch in range(settings.epochs):
        lengths = [len(ids) for ids, _ in examples]
        for batch in epoch_batches(lengths, settings.batch_size, seed=spec.seed, epoch=epoch, group_by_length=True):
            loss = sum(
                model(input_ids=torch.tensor([examples[at][0]]), labels=torch.tensor([examples[at][1]])).loss
                for at in batch
            ) / len(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("base", ["bert", "llama"])
def test_engine_has_the_losses_of_plain_transformers_on_single_texts(
    base: str, method: str, classifying: MakeSpec, tmp_path: Path
) -> None:
    # Batches of 8, in padded passes of 3, 3 and 2 there, and in 8 passes without padding here.
    rank = {"lora_rank": 8, "lora_dropout": 0.0} if method == "lora" else {}
    spec = classifying(
        base, method, epochs=2, micro_batch_size=3, warmup_steps=2, weight_decay=0.1, max_grad_norm=0.5, **rank
    )
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    rows, _ = tuner.run_dir.metrics_after(0)
    losses = [row["train_loss"] for row in rows if "train_loss" in row]
    assert len(losses) == 10
    assert losses == pytest.approx(plain_losses(spec), abs=1e-4)


def logits_of(model: torch.nn.Module, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])


@pytest.mark.parametrize(
    ("base", "method"),
    [
        ("bert", "lora"),
        ("bert-with-pooler", "lora"),
        ("bert", "full"),
        ("distilbert", "lora"),
        ("roberta", "lora"),
        ("gpt2", "lora"),
        ("llama", "full"),
    ],
)
def test_published_classifier_loads_with_public_libraries_and_has_the_figures_told(
    base: str, method: str, classifying: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = classifying(base, method)
    final = FineTuner(spec, tmp_path / "run").run().model_path
    evaluation = RunDir(tmp_path / "run").evaluation()
    loaded = run_card(final, spec.base_model)
    assert capsys.readouterr().out.strip().splitlines()[-1] in WORDS
    model, tokenizer, rows = loaded["model"].eval(), loaded["tokenizer"], rows_of(spec.validation_file)
    names = sorted(WORDS)
    assert model.config.id2label == dict(enumerate(names))
    logits = logits_of(model, tokenizer, [row["text"] for row in rows])
    expected = torch.tensor([names.index(row["label"]) for row in rows])
    loss = torch.nn.functional.cross_entropy(logits, expected).item()
    assert evaluation["tuned"]["loss"] == pytest.approx(loss, abs=1e-4)
    assert evaluation["tuned"]["accuracy"] == pytest.approx((logits.argmax(-1) == expected).float().mean().item())
    answers = pipeline("text-classification", model=model, tokenizer=tokenizer)([r["text"] for r in rows], batch_size=5)
    assert [answer["label"] for answer in answers] == [names[at] for at in logits.argmax(-1)]
    base_model = plain_classifier(spec.base_model.path, names, spec.seed).eval()
    base_logits = logits_of(base_model, tokenizer, [row["text"] for row in rows])
    base_loss = torch.nn.functional.cross_entropy(base_logits, expected).item()
    assert evaluation["base"]["loss"] == pytest.approx(base_loss, abs=1e-4)
    assert evaluation["base"]["head"] == "untrained"


def test_full_model_is_a_pipeline_by_its_folder_and_cuts_long_texts_by_itself(
    classifying: MakeSpec, tmp_path: Path
) -> None:
    final = FineTuner(classifying("bert", "full"), tmp_path / "run").run().model_path
    answer = pipeline("text-classification", str(final))("the food is good " * 30, truncation=True)
    assert answer[0]["label"] in WORDS


def test_adapter_saves_head_and_new_pooler_whole_and_nothing_complains_of_them(
    classifying: MakeSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    final = FineTuner(classifying("bert"), tmp_path / "run").run().model_path
    assert "MISSING" not in capfd.readouterr().err
    assert json.loads((final / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    whole = {name for name in load_file(final / "adapter_model.safetensors") if "lora_" not in name}
    assert {name.removeprefix("base_model.model.") for name in whole} == {
        "classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias",
    }  # fmt: skip
    assert AutoConfig.from_pretrained(final / "base").label2id == {"bad": 0, "good": 1, "slow": 2}
    assert json.loads((final / "afinador.json").read_text())["prompt_form"]["classes"] == ["bad", "good", "slow"]


def test_separable_classes_are_learnt_and_told_with_every_figure(classifying: MakeSpec, tmp_path: Path) -> None:
    spec = classifying("bert", records=reviews(100, 1), epochs=8, batch_size=4, eval_steps=100)
    tuner = FineTuner(spec, tmp_path / "run")
    metrics = tuner.run().metrics
    assert metrics["base"]["accuracy"] < 0.6 < 0.9 < metrics["tuned"]["accuracy"]
    assert metrics["base"]["macro_f1"] < 0.6 < 0.9 < metrics["tuned"]["macro_f1"]
    figures = {name: metrics["tuned"][name] for name in ("accuracy", "macro_f1")}
    valid = [row for row in tuner.run_dir.metrics_after(0)[0] if "valid_loss" in row]
    assert [row["step"] for row in valid] == [100, 200]
    assert valid[-1].items() >= figures.items() and "perplexity" not in valid[-1]
    checkpoint = next(row for row in tuner.run_dir.events_after(0)[0] if row["type"] == "checkpoint")
    assert checkpoint["data"]["metrics"].items() >= figures.items()
    evaluation = tuner.run_dir.evaluation()
    assert [row["class"] for row in evaluation["classes"]] == ["bad", "good", "slow"]
    assert sum(row["f1"] for row in evaluation["classes"]) / 3 == pytest.approx(figures["macro_f1"])
    assert sum(row["examples"] for row in evaluation["classes"]) == evaluation["tuned"]["examples"] == 12
    assert len(evaluation["samples"]) == 5
    card = (tuner.run_dir.final / "README.md").read_text()
    for told in ("untrained head", "macro F1", "pipeline_tag: text-classification", "| good |"):
        assert told in card


@pytest.mark.parametrize("method", ["lora", "full"])
def test_classifier_that_lost_its_evaluation_is_not_trained_again(
    method: str, classifying: MakeSpec, tmp_path: Path
) -> None:
    spec, run_dir = classifying("bert", method), RunDir(tmp_path / "run")
    first = FineTuner(spec, run_dir).run()
    for name in ("evaluation.json", "result.json"):
        run_dir.remove_document(name)
    rows = run_dir.metrics_after(0)
    second = FineTuner(spec, run_dir).run()
    assert run_dir.metrics_after(0) == rows
    assert second.metrics["base"].pop("head") == first.metrics["base"].pop("head") == "untrained"
    for side in ("base", "tuned"):
        assert second.metrics[side] == pytest.approx(first.metrics[side], abs=1e-5)


@pytest.mark.shared_data
def test_bank_questions_with_a_real_vocabulary_are_learnt(
    classifying: MakeSpec, shared_data: Path, tmp_path: Path
) -> None:
    import csv

    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "bert-base-uncased")
    set_seed(1)
    folder = tmp_path / "bert"
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), initializer_range=0.2, **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    wanted = {"card_arrival", "exchange_rate", "age_limit", "lost_or_stolen_phone"}
    with (shared_data / "banking77" / "train.csv").open(newline="", encoding="utf-8") as stream:
        rows = [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(stream)]
    rows = [row for row in rows if row["label"] in wanted]
    random.Random(0).shuffle(rows)
    spec = classifying(folder, "full", records=rows[60:], held_out=rows[:60], epochs=4)
    metrics = FineTuner(spec, tmp_path / "run").run().metrics
    assert metrics["tuned"]["accuracy"] > 0.7 > 0.5 > metrics["base"]["accuracy"]
