"""The engine's losses are those of plain Transformers and PEFT, written here with no shared code but the data order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    get_linear_schedule_with_warmup,
)

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.batching import epoch_batches
from afinador.training import FineTuner

STEPS = 20


def plain_example(record: dict[str, str], tokenizer) -> tuple[list[int], list[int]]:
    prompt = [tokenizer.bos_token_id] if tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id else []
    prompt += tokenizer(f"Human: {record['prompt']}\nAssistant:", add_special_tokens=False)["input_ids"]
    answer = tokenizer(f" {record['completion']}", add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return prompt + answer, [-100] * len(prompt) + answer


def plain_model(spec: FineTuningSpec) -> PreTrainedModel:
    bits, path = spec.hyperparameters.quantization_bits, spec.base_model.path
    if bits is None:
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    nf4 = {
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.float32,
    }
    config = BitsAndBytesConfig(load_in_4bit=True, **nf4) if bits == 4 else BitsAndBytesConfig(load_in_8bit=True)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, quantization_config=config)
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def plain_losses(spec: FineTuningSpec) -> list[float]:
    """Whole batches in one forward pass: Transformers' own mean over all target tokens of the batch."""
    settings = spec.hyperparameters
    tokenizer = AutoTokenizer.from_pretrained(spec.base_model.path)
    lines = Path(spec.training_file.path).read_text().splitlines()
    examples = [plain_example(json.loads(line), tokenizer) for line in lines]
    model = plain_model(spec)
    torch.manual_seed(spec.seed)
    if spec.tuning_method != "full":
        config = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(model, config)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    spared = [parameter for parameter in trained if parameter.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": spared, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup_steps, steps)
    losses = []
    for epoch in range(settings.epochs):
        lengths = [len(ids) for ids, _ in examples]
        for batch in epoch_batches(
            lengths, settings.batch_size, seed=spec.seed, epoch=epoch, group_by_length=settings.group_by_length
        ):
            width = max(lengths[index] for index in batch)
            rows = [
                (ids + [0] * (width - len(ids)), labels + [-100] * (width - len(ids)))
                for ids, labels in (examples[index] for index in batch)
            ]
            mask = torch.tensor([[1] * lengths[index] + [0] * (width - lengths[index]) for index in batch])
            loss = model(
                input_ids=torch.tensor([ids for ids, _ in rows]),
                attention_mask=mask,
                labels=torch.tensor([labels for _, labels in rows]),
            ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return losses[:STEPS]


@pytest.mark.parametrize("labels_only", [True, False], ids=["labels-only", "all-logits"])
@pytest.mark.parametrize("by_length", [True, False], ids=["by-length", "any-order"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_engine_has_the_losses_of_plain_transformers(
    method: str,
    by_length: bool,
    labels_only: bool,
    make_spec: Callable[..., FineTuningSpec],
    tmp_path: Path,
) -> None:
    # Batches of 8 in passes of 3, 3 and 2, over prompts and answers of all lengths.
    rank = {"lora_rank": 8, "lora_dropout": 0.0} if method == "lora" else {}
    spec = make_spec(
        method,
        validate=False,
        epochs=3,
        micro_batch_size=3,
        warmup_steps=4,
        weight_decay=0.1,
        max_grad_norm=0.5,
        group_by_length=by_length,
        logits_at_labels_only=labels_only,
        **rank,
    )
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    rows, _ = tuner.run_dir.metrics_after(0)
    losses = [row["train_loss"] for row in rows if row["step"] <= STEPS]
    assert len(losses) == STEPS
    assert losses == pytest.approx(plain_losses(spec), abs=1e-4)
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("bits", [4, 8])
def test_qlora_has_the_losses_of_plain_bitsandbytes_and_peft(
    bits: int, make_spec: Callable[..., FineTuningSpec], tmp_path: Path
) -> None:
    spec = make_spec(
        "qlora", validate=False, epochs=2, micro_batch_size=3, quantization_bits=bits, lora_rank=8, lora_dropout=0.0
    )
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    losses = [row["train_loss"] for row in tuner.run_dir.metrics_after(0)[0]]
    assert len(losses) >= 10
    assert losses[:10] == pytest.approx(plain_losses(spec)[:10], abs=1e-4)
    unquantised = plain_losses(spec.model_copy(update={"tuning_method": "lora", "hyperparameters": _in_float32(spec)}))
    assert max(abs(loss - other) for loss, other in zip(losses, unquantised, strict=True)) > 1e-3 / bits


def _in_float32(spec: FineTuningSpec) -> Hyperparameters:
    return spec.hyperparameters.model_copy(update={"quantization_bits": None})
