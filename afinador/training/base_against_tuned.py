"""The evaluation stage: the tuned model, then its base, on the same held-out examples."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import PeftModel
from torch import nn

from afinador.config.spec import FineTuningSpec
from afinador.evals.compare import HeldOut, assess, comparison, questions_of
from afinador.models.loading import Precision, load_causal_lm
from afinador.models.publishing import is_adapted
from afinador.models.weights import described_weights
from afinador.training.run_dir import RunDir
from afinador.training.setup import Data, MicroBatches, Subject
from afinador.training.stopping import StopSign


def compare_with_base(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data | None,
    passes: MicroBatches,
    run_dir: RunDir,
    stop: StopSign,
) -> None:
    """Write ``evaluation.json`` and announce the figures.

    The base of a LoRA or QLoRA model is the same model, as quantised as it is, with its adapter switched off. Where
    that is not the whole truth (full fine-tuning, trained biases) the base is loaded again.

    Args:
        spec: Of the run.
        subject: The tuned model.
        data: The validation file; without one nothing is measured, and the document says so.
        passes: How many tokens a forward pass takes.
        run_dir: Where the document goes.
        stop: Looked at between batches.
    """
    if data is None:
        run_dir.write_document("evaluation.json", {"skipped": "The job has no validation file."})
        return
    settings = spec.hyperparameters
    held_out = HeldOut(
        examples=data.tokenised,
        questions=questions_of(data.examples, subject.tokenizer, settings.generation_examples),
        tokenizer=subject.tokenizer,
        tokens_per_pass=passes.tokens,
        max_new_tokens=settings.generation_max_new_tokens,
        logits_at_labels_only=settings.logits_at_labels_only,
    )
    with _computing_as_trained(subject):
        tuned = assess(subject.model, held_out, stop.raise_if_asked)
        with _base_of(subject, spec) as base_model:
            base = assess(base_model, held_out, stop.raise_if_asked)
    weights = described_weights(subject.model, settings.quantization_bits)
    document = comparison(base, tuned, held_out.questions) | {
        "measured_with": f"base weights in {weights.form}, computing in {subject.computing.precision}"
    }
    run_dir.write_document("evaluation.json", document)
    run_dir.log_event(
        "evaluation", "info", _sentence(document["base"], document["tuned"]), base=base.figures, tuned=tuned.figures
    )


@contextmanager
def _base_of(subject: Subject, spec: FineTuningSpec) -> Iterator[nn.Module]:
    if is_adapted(subject.model) and spec.hyperparameters.lora_bias in (None, "none"):
        with cast(PeftModel, subject.model).disable_adapter():
            yield subject.model
        return
    weights = next(subject.model.parameters())
    precision: Precision = "bfloat16" if weights.dtype == torch.bfloat16 else "float32"
    subject.model.to("cpu")  # two of them may not fit on the device
    gc.collect()
    attention = spec.hyperparameters.attention
    yield load_causal_lm(
        spec.base_model.path, precision=precision, device=subject.computing.device, attention=attention
    )


def _computing_as_trained(subject: Subject) -> torch.autocast:
    computing = subject.computing
    return torch.autocast(
        computing.device.type, dtype=torch.bfloat16, enabled=computing.precision == "bfloat16", cache_enabled=False
    )


def _sentence(base: dict[str, float], tuned: dict[str, float]) -> str:
    loss = f"loss {base['loss']:.4f} → {tuned['loss']:.4f}"
    on = f"Base against tuned on {tuned['examples']} held-out example{'s' if tuned['examples'] != 1 else ''}"
    if tuned["exact_match"] is None:
        return f"{on}: {loss}."
    match = f"exact match {base['exact_match']:.1%} → {tuned['exact_match']:.1%}"
    return f"{on}: {loss}, {match}."
