"""The evaluation stage: the tuned model, then its base, on the same held-out examples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import PeftModel
from torch import nn

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.batching import pad_id_of
from afinador.evals.batches import Tell
from afinador.evals.classification import HeldOutTexts, classify, comparison_of_classes
from afinador.evals.compare import HeldOut, assess, comparison, questions_of
from afinador.evals.generation import most_prompt_tokens
from afinador.figures import counted
from afinador.models.loading import Precision
from afinador.models.publishing import is_adapted
from afinador.models.weights import described_weights
from afinador.training.bases import base_has_head, load_base
from afinador.training.data_sets import Data
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir
from afinador.training.setup import MicroBatches, Subject
from afinador.training.stopping import StopSign

NEW_TOKENS_OF_METADATA = 512


def compare_with_base(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data | None,
    passes: MicroBatches,
    run_dir: RunDir,
    progress: Progress,
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
        progress: Told between batches how far it is.
        stop: Looked at between batches.
    """
    if data is None:
        run_dir.write_document("evaluation.json", {"skipped": "The job has no validation file."})
        return
    compare = _compare_classes if subject.classes else _compare_answers
    run_dir.log_event(
        "message",
        "info",
        f"The tuned model and its base are measured on {counted(data.summary.examples, 'held-out example')}.",
        once="evaluation begins",
    )

    def telling(model: str) -> Tell:
        def tell(what: str, done: int, total: int) -> None:
            stop.raise_if_asked()
            progress.while_measuring(model, what, done, total)

        return tell

    with _computing_as_trained(subject):
        document = compare(spec, subject, data, passes, telling)
    weights = described_weights(subject.model, spec.hyperparameters.quantization_bits)
    document["measured_with"] = f"base weights in {weights.form}, computing in {subject.computing.precision}"
    run_dir.write_document("evaluation.json", document)
    run_dir.log_event(
        "evaluation",
        "info",
        _sentence(document["base"], document["tuned"]),
        base=document["base"],
        tuned=document["tuned"],
    )


def _compare_answers(
    spec: FineTuningSpec, subject: Subject, data: Data, passes: MicroBatches, telling: Callable[[str], Tell]
) -> dict[str, Any]:
    settings, longest_answer = spec.hyperparameters, max_new_tokens(spec, data)
    most = most_prompt_tokens(subject.model, longest_answer)
    held_out = HeldOut(
        examples=data.tokenised,
        questions=questions_of(data.examples(), subject.tokenizer, settings.generation_examples, most),
        tokenizer=subject.tokenizer,
        tokens_per_pass=passes.tokens,
        max_new_tokens=longest_answer,
        logits_at_labels_only=settings.logits_at_labels_only,
    )
    tuned = assess(subject.model, held_out, telling("tuned"))
    with _base_of(subject, spec) as base_model:
        base = assess(base_model, held_out, telling("base"))
    return comparison(base, tuned, held_out.questions)


def max_new_tokens(spec: FineTuningSpec, data: Data) -> int:
    """Return how long an answer may be; metadata of documents are longer than other answers, where nobody says it."""
    is_said = spec.sources.get("generation_max_new_tokens", "default") != "default"
    if data.summary.kind == "document" and not is_said:
        return NEW_TOKENS_OF_METADATA
    return spec.hyperparameters.generation_max_new_tokens


def _compare_classes(
    spec: FineTuningSpec, subject: Subject, data: Data, passes: MicroBatches, telling: Callable[[str], Tell]
) -> dict[str, Any]:
    held_out = HeldOutTexts(
        texts=[example.prompt or "" for example in data.examples()],
        examples=data.tokenised,
        classes=subject.classes,
        pad_id=pad_id_of(subject.tokenizer),
        tokens_per_pass=passes.tokens,
    )
    tuned = classify(subject.model, held_out, telling("tuned"))
    with _base_of(subject, spec) as base_model:
        base = classify(base_model, held_out, telling("base"))
    head = "own" if base_has_head(spec, subject.classes) else "untrained"
    return comparison_of_classes(base, tuned, held_out, base_head=head)


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
    yield load_base(spec, spec.base_model.path, precision=precision, device=subject.computing.device).model


def _computing_as_trained(subject: Subject) -> torch.autocast:
    computing = subject.computing
    return torch.autocast(
        computing.device.type, dtype=torch.bfloat16, enabled=computing.precision == "bfloat16", cache_enabled=False
    )


def _sentence(base: dict[str, Any], tuned: dict[str, Any]) -> str:
    loss = f"loss {base['loss']:.4f} → {tuned['loss']:.4f}"
    on = f"Base against tuned on {counted(tuned['examples'], 'held-out example')}"
    if "macro_f1" in tuned:
        untrained = " (its head is untrained)" if base["head"] == "untrained" else ""
        found = f"accuracy {base['accuracy']:.1%} → {tuned['accuracy']:.1%}"
        return f"{on}{untrained}: {loss}, {found}, macro F1 {base['macro_f1']:.4f} → {tuned['macro_f1']:.4f}."
    if tuned["exact_match"] is None:
        return f"{on}: {loss}."
    match = f"exact match {base['exact_match']:.1%} → {tuned['exact_match']:.1%}"
    return f"{on}: {loss}, {match}."
