"""The stages of a run, each of which leaves a file behind by which the next start knows that it is done.

``model.json`` (loaded) → ``training.json`` (trained, ``final/`` complete) → ``evaluation.json`` → ``result.json``.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import torch

from afinador import __version__
from afinador.config.spec import FineTuningSpec
from afinador.data.prompting import prompt_form
from afinador.data.tokenisation import TokenisedExample
from afinador.models.families import causal_model_of
from afinador.models.headers import describe_model_folder
from afinador.models.publishing import (
    cast_weights,
    count_adapter_parameters,
    is_adapted,
    model_card,
    pass_on_license,
)
from afinador.training.accelerate_loop import train
from afinador.training.base_against_tuned import compare_with_base
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir, write_atomically
from afinador.training.setup import (
    Data,
    MicroBatches,
    Subject,
    choose_micro_batches,
    load_data,
    load_subject,
    load_trained,
    usable_length,
)
from afinador.training.stopping import StopSign


def run_stages(spec: FineTuningSpec, run_dir: RunDir, progress: Progress, stop: StopSign) -> None:
    """Do the stages that are not done yet.

    Raises:
        Stopped: See ``StopSign``.
        AfinadorError: See the parts.
    """
    started_at = time.monotonic()
    trained = run_dir.read_document("training.json")
    subject = load_trained(spec, run_dir.final) if trained else load_subject(spec)
    stop.raise_if_asked()
    max_length = usable_length(spec.hyperparameters.max_length, subject.model)
    data = load_data(spec.training_file, subject.tokenizer, max_length)
    held_out = load_data(spec.validation_file, subject.tokenizer, max_length) if spec.validation_file else None
    everything = [*data.tokenised, *(held_out.tokenised if held_out else [])]
    longest = max(len(example.input_ids) for example in everything)
    passes = choose_micro_batches(subject, spec.hyperparameters, longest)
    _describe_model(spec, subject, passes, run_dir, seconds=time.monotonic() - started_at)
    _describe_data(data, held_out, max_length, run_dir)
    if trained is None:
        _train(spec, subject, data, held_out.tokenised if held_out else [], passes, run_dir, progress, stop)
    progress.enter("evaluating")
    if run_dir.evaluation() is None:
        compare_with_base(spec, subject, held_out, passes, run_dir, stop)
    _finish(spec, subject, data, run_dir, duration_seconds=time.monotonic() - started_at)


def _describe_model(
    spec: FineTuningSpec, subject: Subject, passes: MicroBatches, run_dir: RunDir, *, seconds: float
) -> None:
    model = subject.model
    trainable = sum(parameter.numel() for parameter in subject.trained_parameters)
    total = sum(parameter.numel() for parameter in model.parameters())
    adapter = count_adapter_parameters(model)
    described = {
        "architecture": type(causal_model_of(model)).__name__,
        "parameters": total,
        "base_parameters": total - adapter,
        "adapter_parameters": adapter,
        "trainable_parameters": trainable,
        "bytes": sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "precision": subject.computing.precision,
        "device": subject.computing.device_name,
        "micro_batch_size": passes.examples,
        "seconds": round(seconds, 3),
    }
    run_dir.write_document("model.json", described)
    run_dir.log_event(
        "model_loaded",
        "info",
        f"Loaded {spec.base_model.name} ({_sizes(total - adapter, adapter, trainable)}) on "
        f"{subject.computing.device_name}, computing in {subject.computing.precision}.",
        **described,
    )


def _sizes(base: int, adapter: int, trainable: int) -> str:
    if not adapter:
        return f"{_in_millions(base)} parameters, all of them trained"
    beyond = f", {_in_millions(trainable - adapter)} of the base trained too" if trainable > adapter else ""
    return f"{_in_millions(base)} parameters and an adapter of {_in_millions(adapter)}{beyond}"


def _in_millions(count: int) -> str:
    return f"{count / 1e6:,.1f}M" if count >= 1_000_000 else f"{count / 1e6:.2g}M"


def _describe_data(data: Data, held_out: Data | None, max_length: int, run_dir: RunDir) -> None:
    tokens = sum(data.lengths)
    held = f"; held out: {_examples(held_out, max_length)}" if held_out else ""
    run_dir.log_event(
        "message",
        "info",
        f"{_examples(data, max_length)}, {tokens:,} tokens, to learn from{held}; template: {data.template}.",
        examples=len(data.examples),
        pieces=len(data.tokenised),
        tokens=tokens,
        template=data.template,
    )
    if data.cut:
        run_dir.log_event(
            "message",
            "warn",
            f"{data.cut} of {len(data.examples)} examples are longer than {max_length} tokens and lose the start of "
            "their prompt. Raise max_length if the model's context allows.",
            examples=data.cut,
            max_length=max_length,
        )


def _examples(data: Data, max_length: int) -> str:
    said = _counted(len(data.examples), "example" if data.examples[0].text is None else "text")
    if len(data.tokenised) == len(data.examples):
        return said
    return f"{said} cut into {_counted(len(data.tokenised), 'piece')} of at most {max_length} tokens"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _train(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data,
    held_out: list[TokenisedExample],
    passes: MicroBatches,
    run_dir: RunDir,
    progress: Progress,
    stop: StopSign,
) -> None:
    started_at = time.monotonic()
    train(spec, subject, data, held_out, passes, run_dir=run_dir, progress=progress, stop=stop)
    progress.enter("saving")
    _save_final(spec, subject, run_dir)
    run_dir.write_document(
        "training.json",
        {
            "steps": progress.steps,
            "epochs": spec.hyperparameters.epochs,
            "trained_tokens": progress.trained_tokens,
            "train_loss": progress.train_loss,
            "valid_loss": progress.valid_loss,
            "seconds_per_epoch": progress.seconds_per_epoch,
            "seconds": round(time.monotonic() - started_at, 3),
        },
    )


def _save_final(spec: FineTuningSpec, subject: Subject, run_dir: RunDir) -> None:
    """Write ``final/`` under a temporary name; a whole model in the precision that its base is stored in."""
    temporary = run_dir.path / ".final.tmp"
    for leftover in (temporary, run_dir.final):
        shutil.rmtree(leftover, ignore_errors=True)
    if not is_adapted(subject.model):
        stored = getattr(torch, describe_model_folder(Path(spec.base_model.path)).dtype, torch.float32)
        computed = next(subject.model.parameters()).dtype
        cast_weights(subject.model, stored)
        subject.write_weights(temporary)
        cast_weights(subject.model, computed)  # the evaluation sees the published, rounded weights
    else:
        subject.write_weights(temporary)
    temporary.rename(run_dir.final)


def _finish(spec: FineTuningSpec, subject: Subject, data: Data, run_dir: RunDir, *, duration_seconds: float) -> None:
    """Write the card and what a program wants to know beside the weights, then the result."""
    evaluation = run_dir.evaluation() or {}
    form = prompt_form(data.examples, subject.tokenizer)
    lineage = spec.model_dump(mode="json", include=_LINEAGE, exclude=_PLACES) | {
        "template": data.template,
        "prompt_form": form.to_json(),
    }
    pass_on_license(Path(spec.base_model.path), run_dir.final)
    write_atomically(run_dir.final / "README.md", model_card(spec, evaluation, form))
    write_atomically(run_dir.final / "afinador.json", json.dumps(lineage, ensure_ascii=False, indent=1))
    run_dir.write_result(
        status="succeeded",
        **(run_dir.read_document("training.json") or {}),
        metrics={key: evaluation[key] for key in ("base", "tuned") if key in evaluation},
        duration_seconds=round(duration_seconds, 3),
        device=subject.computing.device_name,
        versions={
            "python": platform.python_version(),
            "afinador": __version__,
            **{name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
        },
        error=None,
    )


_PLACES = {name: {"path"} for name in ("base_model", "training_file", "validation_file")}
"""Folders of this machine mean nothing elsewhere."""
_LINEAGE = {
    "job_id", "job_name", "task", "tuning_method", "base_model", "training_file", "validation_file",
    "hyperparameters", "seed", "code_version",
}  # fmt: skip
