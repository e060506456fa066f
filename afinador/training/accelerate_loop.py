"""The engine, in the open: read this file first. ``hf_trainer`` keeps the same contract through transformers' Trainer.

One batch is one optimizer step. It is cut into parts that fit into memory, and the sum of all their token losses is
divided by the number of tokens trained on in the *whole* batch: each token weighs the same, however the batch was cut
and whatever the lengths of its examples are. A classifier has one target an example, its class: there each example
weighs the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.batching import forward_passes, pad_id_of
from afinador.data.tokens.tokenisation import TokenisedExample, count_targets
from afinador.models.classification import scores_of
from afinador.training.data_sets import Data, order_batches
from afinador.training.milestones import Milestones
from afinador.training.optimization import build_optimizer, build_schedule
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir
from afinador.training.saving import Saver
from afinador.training.setup import MicroBatches, Subject
from afinador.training.steps import Step
from afinador.training.stopping import StopSign
from afinador.training.training_state import TrainingState


def train(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data,
    held_out: Sequence[TokenisedExample],
    passes: MicroBatches,
    *,
    run_dir: RunDir,
    progress: Progress,
    stop: StopSign,
    state: TrainingState | None = None,
) -> None:
    """Train ``subject.model`` in place, measuring and saving checkpoints on the way.

    Args:
        spec: Hyperparameters and seed.
        subject: The model, already trainable by its method.
        data: What it learns from.
        held_out: Examples that the loss is measured on every ``eval_steps`` and at the end; may be empty.
        passes: How a batch is cut into forward passes.
        run_dir: Where checkpoints go.
        progress: Where measurements go.
        stop: Looked at before each step.
        state: Of the checkpoint to go on from; None begins with the first step.

    Raises:
        Stopped: See ``StopSign``; a checkpoint is there.
        TrainingError: Losses or gradients are no numbers any more.
        InsufficientStorageError: A checkpoint does not fit on the disk.
    """
    settings, examples = spec.hyperparameters, data.tokenised
    pad_id = pad_id_of(subject.tokenizer)
    row_tokens = passes.row_tokens if settings.packing else None
    parameters = subject.trained_parameters
    on_cpu = subject.computing.device.type == "cpu"
    AcceleratorState._reset_state()  # or the precision of this process's first run would be that of all
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if subject.computing.precision == "bfloat16" else "no")
    optimizer = build_optimizer(parameters, settings)
    batches = order_batches(data, spec)
    schedule = build_schedule(optimizer, settings, batches.steps)
    scores = scores_of(subject.model, logits_at_labels_only=settings.logits_at_labels_only)
    scores, optimizer = accelerator.prepare(scores, optimizer)
    scores.train()
    saver = Saver(
        spec, subject, data, optimizer, schedule, batches=batches, passes=passes, run_dir=run_dir, progress=progress
    )
    progress.start_training(batches.steps, settings)
    with Milestones(
        spec, subject, scores, held_out, passes, saver=saver, run_dir=run_dir, progress=progress, stop=stop
    ) as milestones:
        for number, batch in milestones.steps_after(state):
            targets = sum(count_targets(examples[index]) for index in batch)
            input_tokens = sum(len(examples[index].input_ids) for index in batch)
            loss_sum = torch.zeros((), device=accelerator.device)
            correct = torch.zeros((), dtype=torch.int64, device=accelerator.device)
            for part in forward_passes(examples, batch, pad_id, rows=passes.examples, row_tokens=row_tokens):
                part_loss, part_correct = scores(**part.to(accelerator.device)).sums()
                accelerator.backward(part_loss / targets)
                loss_sum += part_loss.detach()
                correct += part_correct
            gradient_norm = accelerator.clip_grad_norm_(parameters, settings.max_grad_norm)
            learning_rate = float(schedule.get_last_lr()[0])
            measured = (learning_rate, float(gradient_norm), int(correct))
            step = Step(number, loss_sum.item(), targets, input_tokens, *measured)
            if step.is_usable:
                optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if milestones.after(step):
                break
    accelerator.free_memory()
