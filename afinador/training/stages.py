"""The stages of a run, each of which leaves a file behind by which the next start knows that it is done.

``model.json`` (loaded) → ``training.json`` (trained, ``final/`` complete) → ``evaluation.json`` → ``result.json``.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.classified import TEXT_AS_IT_IS
from afinador.data.tokens.tokenisation import CutCounts, TokenisedExample
from afinador.figures import counted
from afinador.models.families import context_length_of, pretrained_model_of
from afinador.models.publishing import cast_weights
from afinador.models.weights import described_weights
from afinador.training import accelerate_loop
from afinador.training.base_against_tuned import compare_with_base
from afinador.training.classes import describe_classes
from afinador.training.data_sets import Data, load_both
from afinador.training.describing import describe
from afinador.training.environment import environment_of, versions
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir, sync
from afinador.training.setup import (
    MicroBatches,
    Subject,
    choose_micro_batches,
    load_subject,
    load_trained,
    usable_length,
)
from afinador.training.starting_point import checkpoint_of, state_to_go_on_from, take_weights_over
from afinador.training.stopping import StopSign
from afinador.training.template_doubts import doubt_template
from afinador.training.training_state import TrainingState, read_weights, restore_weights

_RAISE, _SHORTEN = "Raise max_length.", "Shorten them: the model reads no more at once."


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
    data, held_out = load_both(spec, subject, max_length, run_dir)
    longest = max([*data.lengths, *(held_out.lengths if held_out else [])])
    state = None if trained else state_to_go_on_from(spec, run_dir)
    passes = choose_micro_batches(subject, spec.hyperparameters, longest)
    if state is not None:  # free memory is never quite the same
        passes = MicroBatches(**state.document["micro_batches"])
    _describe_model(spec, subject, passes, run_dir, seconds=time.monotonic() - started_at)
    context = context_length_of(subject.model)
    remedy = _SHORTEN if context is not None and max_length >= context else _RAISE
    _describe_data(data, held_out, max_length, remedy, run_dir)
    doubt_template(data, subject.tokenizer, run_dir)
    if subject.classes:
        describe_classes(spec, subject, data, held_out, run_dir)
    if trained is None:
        if state is None:
            take_weights_over(spec, subject, run_dir)
        held_out_pieces = held_out.tokenised if held_out else []
        _train(spec, subject, data, held_out_pieces, passes, run_dir, progress, stop, state)
    progress.enter("evaluating")
    if run_dir.evaluation() is None:
        compare_with_base(spec, subject, held_out, passes, run_dir, progress, stop)
    _finish(spec, subject, data, run_dir, duration_seconds=time.monotonic() - started_at)


def _describe_model(
    spec: FineTuningSpec, subject: Subject, passes: MicroBatches, run_dir: RunDir, *, seconds: float
) -> None:
    weights = described_weights(subject.model, spec.hyperparameters.quantization_bits)
    described = {
        "architecture": type(pretrained_model_of(subject.model)).__name__,
        **weights.to_json(),
        "precision": subject.computing.precision,
        "device": subject.computing.device_name,
        "micro_batch_size": passes.examples,
        "seconds": round(seconds, 3),
    }
    run_dir.write_document("model.json", described)
    run_dir.log_event(
        "model_loaded",
        "info",
        f"Loaded {spec.base_model.name}, {weights.sentence()} On {subject.computing.device_name}, computing in "
        f"{subject.computing.precision}.",
        **described,
        environment=environment_of(subject.computing),
    )


def _describe_data(data: Data, held_out: Data | None, max_length: int, remedy: str, run_dir: RunDir) -> None:
    tokens = sum(data.lengths)
    held = f"; held out: {_examples(held_out, max_length)}" if held_out else ""
    run_dir.log_event(
        "message",
        "info",
        f"{_examples(data, max_length)}, {counted(tokens, 'token')}, to learn from{held}; template: {data.template}.",
        examples=data.summary.examples,
        pieces=len(data.tokenised),
        tokens=tokens,
        template=data.template,
    )
    for what, each in (("examples", data), ("held-out examples", held_out)):
        if each is not None and each.cuts.records:
            run_dir.log_event(
                "message", "warn", f"{_cut(each, what, max_length)}. {remedy}", **_figures_of(each.cuts, max_length)
            )


def _cut(data: Data, what: str, max_length: int) -> str:
    """Say on which side examples are cut; an answer only where it is too long by itself."""
    cuts = data.cuts
    said = f"{cuts.records} of {data.summary.examples} {what} are longer than {max_length} tokens"
    if data.template == TEXT_AS_IT_IS:
        return f"{said} and lose their end ({counted(cuts.end_tokens, 'token')})"
    parts = []
    if cuts.prompts:
        where = "the end of their document" if data.summary.kind == "document" else "the start of their prompt"
        parts.append(f"{cuts.prompts} lose {where} ({counted(cuts.prompt_tokens, 'token')})")
    if cuts.ends:
        parts.append(f"{cuts.ends} the end of their answer too ({counted(cuts.end_tokens, 'token')})")
    return f"{said}: {', '.join(parts)}"


def _figures_of(cuts: CutCounts, max_length: int) -> dict[str, Any]:
    figures = asdict(cuts)
    return {"examples": figures.pop("records"), **figures, "max_length": max_length}


def _examples(data: Data, max_length: int) -> str:
    said = counted(data.summary.examples, "text" if data.summary.kind == "text" else "example")
    if len(data.tokenised) == data.summary.examples:
        return said
    return f"{said} cut into {counted(len(data.tokenised), 'piece')} of at most {max_length} tokens"


def _train(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data,
    held_out: Sequence[TokenisedExample],
    passes: MicroBatches,
    run_dir: RunDir,
    progress: Progress,
    stop: StopSign,
    state: TrainingState | None,
) -> None:
    train = _engine_of(spec)
    train(spec, subject, data, held_out, passes, run_dir=run_dir, progress=progress, stop=stop, state=state)
    stop.raise_if_asked(math.inf)
    progress.enter("saving")
    published = _take_best(spec, subject, run_dir, progress)
    _save_final(spec, subject, run_dir)
    run_dir.write_document(
        "training.json",
        {
            "steps": progress.done_steps,
            "epochs": spec.hyperparameters.epochs,
            "trained_tokens": progress.trained_tokens,
            "train_loss": progress.train_loss,
            **published,
            "skipped_steps": progress.skipped_steps,
            "seconds_per_epoch": progress.seconds_per_epoch,
            "seconds": round(progress.training_seconds, 3),
            "checkpoint_seconds": round(progress.checkpoint_seconds, 3),
        },
    )


def _engine_of(spec: FineTuningSpec) -> Callable[..., None]:
    if spec.hyperparameters.engine == "hf_trainer":
        from afinador.training import hf_trainer  # a tenth of what torch and transformers take to import

        return hf_trainer.train
    return accelerate_loop.train


def _take_best(spec: FineTuningSpec, subject: Subject, run_dir: RunDir, progress: Progress) -> dict[str, Any]:
    """With early stopping, put the best checkpoint's weights back into the model; return what is published."""
    best = progress.early_stopping
    last = {"valid_loss": progress.valid_loss, "published_step": progress.done_steps}
    if best.patience is None or best.best_step is None:
        return last
    if best.best_step != progress.done_steps:
        restore_weights(read_weights(checkpoint_of(spec, run_dir, best.best_step)), subject.model)
    run_dir.log_event(
        "message",
        "info",
        f"What is published is the best checkpoint, of step {best.best_step}: validation loss {best.best_loss:.4f}.",
        once="best checkpoint",
        **best.state(),
    )
    return {"valid_loss": best.best_loss, "published_step": best.best_step}


def _save_final(spec: FineTuningSpec, subject: Subject, run_dir: RunDir) -> None:
    """Write ``final/`` under a temporary name; a whole model in the precision that its base is stored in."""
    temporary = run_dir.path / ".final.tmp"
    for leftover in (temporary, run_dir.final):
        shutil.rmtree(leftover, ignore_errors=True)
    subject.write_weights(temporary)
    if subject.published_dtype is not None:  # the evaluation sees the published, rounded weights
        computed = next(subject.model.parameters()).dtype
        cast_weights(subject.model, subject.published_dtype)
        cast_weights(subject.model, computed)
    # What says that training is done must not outlive a power cut that this folder does not.
    for path in [*temporary.rglob("*"), temporary]:
        sync(path)
    temporary.rename(run_dir.final)
    sync(run_dir.path)


def _finish(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data,
    run_dir: RunDir,
    *,
    duration_seconds: float,
) -> None:
    """Write the card and what a program wants to know beside the weights, then the result."""
    evaluation = run_dir.evaluation() or {}
    describe(run_dir.final, spec, data, evaluation)
    run_dir.write_result(
        status="succeeded",
        **(run_dir.read_document("training.json") or {}),
        metrics={key: evaluation[key] for key in ("base", "tuned") if key in evaluation},
        duration_seconds=round(duration_seconds, 3),
        device=subject.computing.device_name,
        model=run_dir.read_document("model.json"),
        environment=environment_of(subject.computing),
        versions=versions(),
        error=None,
    )
