"""Trains the workload with TRL's ``SFTTrainer`` or with the plain ``transformers.Trainer``; prints one JSON object.

Runs in the peers' environment and shares no code with Afinador; ``bench/training.py`` calls it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class Steps(TrainerCallback):
    """Notes the time at which each optimizer step ends."""

    def __init__(self) -> None:
        self.ended_at: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer."""
        self.ended_at.append(time.monotonic())


def trainer_of(engine: str, model: Any, tokenizer: Any, rows: Dataset, given: dict[str, Any]) -> Trainer:
    """Return the trainer; ``trl`` and ``trl-no-checkpointing`` differ in activation checkpointing alone."""
    if engine == "transformers":
        collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100)
        arguments = TrainingArguments(**given)
        return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    from trl import SFTConfig, SFTTrainer

    off = {"gradient_checkpointing": False} if engine == "trl-no-checkpointing" else {}
    arguments = SFTConfig(**given, **off, max_length=None)
    return SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)


def main() -> None:
    """Train and print losses, times and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["trl", "trl-no-checkpointing", "transformers"])
    parser.add_argument("workload", type=Path)
    folder = parser.parse_args().workload
    engine, job = parser.parse_args().engine, json.loads((folder / "job.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    set_seed(job["seed"])
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=job["lora_rank"], lora_alpha=job["lora_alpha"], target_modules="all-linear"
    )
    model = get_peft_model(base, lora)
    rows = Dataset.from_list([json.loads(line) for line in (folder / "tokens.jsonl").read_text().splitlines()])
    given = {
        "output_dir": str(folder / engine),
        "per_device_train_batch_size": job["batch_size"],
        "num_train_epochs": job["epochs"],
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "linear",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job["seed"],
        # Where the hardware has bfloat16 all engines use it, elsewhere none does.
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
    }
    trainer = trainer_of(engine, model, tokenizer, rows, given)
    steps = Steps()
    trainer.add_callback(steps)
    trainer.train()
    cuda = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
    result = {
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "ended_at": steps.ended_at,
        "peak_bytes": cuda or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
