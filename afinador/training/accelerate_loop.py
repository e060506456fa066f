"""The engine, in the open: read this file first.

One batch is one optimizer step. It is cut into micro-batches that fit into memory, and the sum of all their token
losses is divided by the number of tokens trained on in the *whole* batch: each token weighs the same, however the
batch was cut and whatever the lengths of its examples are. A classifier has one target an example, its class: there
each example weighs the same.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator

from afinador.config.spec import FineTuningSpec
from afinador.data.batching import collate, epoch_batches, micro_batches, pad_id_of
from afinador.data.tokenisation import TokenisedExample, count_targets
from afinador.evals.measuring import measure
from afinador.models.classification import scores_of
from afinador.training.checkpoints import save_checkpoint
from afinador.training.progress import Progress, Step
from afinador.training.run_dir import RunDir
from afinador.training.setup import Data, MicroBatches, Subject, build_optimizer, build_schedule
from afinador.training.stopping import StopSign


def train(
    spec: FineTuningSpec,
    subject: Subject,
    data: Data,
    held_out: list[TokenisedExample],
    passes: MicroBatches,
    *,
    run_dir: RunDir,
    progress: Progress,
    stop: StopSign,
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

    Raises:
        Stopped: See ``StopSign``.
        TrainingError: The loss is no number any more.
        InsufficientStorageError: A checkpoint does not fit on the disk.
    """
    settings, examples, lengths = spec.hyperparameters, data.tokenised, data.lengths
    pad_id = pad_id_of(subject.tokenizer)
    parameters = subject.trained_parameters
    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    eval_steps = settings.eval_steps or settings.save_steps

    on_cpu = subject.computing.device.type == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if subject.computing.precision == "bfloat16" else "no")
    optimizer = build_optimizer(parameters, settings)
    schedule = build_schedule(optimizer, settings, steps)
    scores = scores_of(subject.model, logits_at_labels_only=settings.logits_at_labels_only)
    scores, optimizer = accelerator.prepare(scores, optimizer)
    scores.train()
    progress.start_training(steps, settings.epochs, settings.logging_steps)

    step = 0
    for epoch in range(settings.epochs):
        for batch in epoch_batches(
            lengths, settings.batch_size, seed=spec.seed, epoch=epoch, group_by_length=settings.group_by_length
        ):
            stop.raise_if_asked()
            step += 1
            target_tokens = sum(count_targets(examples[index]) for index in batch)
            loss_sum = torch.zeros((), device=accelerator.device)
            for part in micro_batches(batch, lengths, passes.examples):
                tensors = collate([examples[index] for index in part], pad_id).to(accelerator.device)
                part_loss = scores(tensors.input_ids, tensors.attention_mask, tensors.labels).loss_sum()
                accelerator.backward(part_loss / target_tokens)
                loss_sum += part_loss.detach()
            gradient_norm = accelerator.clip_grad_norm_(parameters, settings.max_grad_norm)
            learning_rate = float(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

            input_tokens = sum(lengths[index] for index in batch)
            progress.after_step(
                Step(step, loss_sum.item(), target_tokens, input_tokens, learning_rate, float(gradient_norm))
            )
            if held_out and (step % eval_steps == 0 or step == steps):
                measured = measure(
                    scores, held_out, pad_id=pad_id, tokens_per_pass=passes.tokens, between_batches=stop.raise_if_asked
                )
                progress.after_validation(step, measured)
            if step % settings.save_steps == 0 or step == steps:
                save_checkpoint(run_dir, progress.state_at(step), subject.write_weights, keep=settings.save_total_limit)
    accelerator.free_memory()
