"""The other engine: the same contract as ``accelerate_loop``, through the Trainer of transformers.

The Trainer runs the steps: precision, devices, gradients, optimizer and schedule. Ours are the order of the data, the
loss of a batch (sums over parts, divided by the tokens of the whole batch) and everything that is told: run directory,
events, checkpoints, stop sign. A batch is one item of the Trainer's data set, so that one of its steps is one of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

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
from afinador.training.training_state import TrainingState, put_random, take_random


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
    """Train ``subject.model`` in place; arguments and errors are those of ``accelerate_loop.train``."""
    settings = spec.hyperparameters
    batches = order_batches(data, spec)
    optimizer = build_optimizer(subject.trained_parameters, settings)
    schedule = build_schedule(optimizer, settings, batches.steps)
    scores = scores_of(subject.model, logits_at_labels_only=settings.logits_at_labels_only)
    saver = Saver(
        spec, subject, data, optimizer, schedule, batches=batches, passes=passes, run_dir=run_dir, progress=progress
    )
    progress.start_training(batches.steps, settings)
    with Milestones(
        spec, subject, scores, held_out, passes, saver=saver, run_dir=run_dir, progress=progress, stop=stop
    ) as milestones:
        steps_done = milestones.resume(state)
        remaining = list(batches.after(steps_done))
        if not remaining:
            return
        random_states = take_random()
        trainer = _BatchTrainer(
            scores,
            _arguments(spec, subject, run_dir.path),
            train_dataset=remaining,  # type: ignore[arg-type]
            data_collator=_only_one,  # type: ignore[arg-type]
            optimizers=(optimizer, schedule),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_AfterStep(trainer, milestones))
        trainer.take(spec, subject, data, passes, milestones, steps_done, random_states)
        trainer.train()
        trainer.accelerator.free_memory()


def _arguments(spec: FineTuningSpec, subject: Subject, folder: Path) -> TrainingArguments:
    """Leave to the Trainer what it does better, and switch off what we do ourselves."""
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,  # of our batches, which are those of all epochs
        per_device_train_batch_size=1,
        max_grad_norm=0.0,  # gradients are clipped in training_step, where their norm is looked at
        bf16=subject.computing.precision == "bfloat16",
        use_cpu=subject.computing.device.type == "cpu",
        seed=spec.seed,
        save_strategy="no",
        logging_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _only_one(items: list[list[int]]) -> list[int]:
    return items[0]


class _BatchTrainer(Trainer):
    """A Trainer whose step takes the indices of one batch."""

    def take(
        self,
        spec: FineTuningSpec,
        subject: Subject,
        data: Data,
        passes: MicroBatches,
        milestones: Milestones,
        steps_done: int,
        random_states: tuple[dict[str, torch.Tensor], dict[str, Any]],
    ) -> None:
        """Take what a step needs.

        Args:
            spec: Hyperparameters.
            subject: The model with its tokenizer.
            data: Examples that batches name by index.
            passes: How a batch is cut.
            milestones: Looked at before each step.
            steps_done: By earlier attempts.
            random_states: As they were before the Trainer seeded them anew: dropout goes on from there.
        """
        self.settings = spec.hyperparameters
        self.subject, self.examples, self.passes = subject, data.tokenised, passes
        self.milestones, self.steps_done = milestones, steps_done
        self.pad_id = pad_id_of(subject.tokenizer)
        self.random_states: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = random_states
        self.step: Step | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches in their order; the Trainer would shuffle them."""
        batches: Any = self.train_dataset
        return DataLoader(batches, batch_size=1, sampler=SequentialSampler(batches), collate_fn=self.data_collator)

    def training_step(
        self, model: torch.nn.Module, inputs: Any, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Take the gradients of one batch, part by part, and return its mean loss."""
        self.milestones.before_step()
        if self.random_states is not None:
            put_random(*self.random_states)
            self.random_states = None
        model.train()
        batch: list[int] = inputs
        targets = sum(count_targets(self.examples[index]) for index in batch)
        input_tokens = sum(len(self.examples[index].input_ids) for index in batch)
        row_tokens = self.passes.row_tokens if self.settings.packing else None
        loss_sum = torch.zeros((), device=self.args.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.args.device)
        for part in forward_passes(self.examples, batch, self.pad_id, rows=self.passes.examples, row_tokens=row_tokens):
            with self.compute_loss_context_manager():
                part_loss, part_correct = model(**part.to(self.args.device)).sums()
            self.accelerator.backward(part_loss / targets)
            loss_sum += part_loss.detach()
            correct += part_correct
        norm = self.accelerator.clip_grad_norm_(self.subject.trained_parameters, self.settings.max_grad_norm)
        assert self.lr_scheduler is not None and self.optimizer is not None
        learning_rate = float(self.lr_scheduler.get_last_lr()[0])
        number = self.steps_done + self.state.global_step + 1
        measured = (learning_rate, float(norm), int(correct))
        self.step = Step(number, loss_sum.item(), targets, input_tokens, *measured)
        if not self.step.is_usable:
            self.optimizer.zero_grad()  # the optimizer passes over parameters without a gradient
        return loss_sum / targets


class _AfterStep(TrainerCallback):
    """Does what is due after each step, and ends the training where that says so."""

    def __init__(self, trainer: _BatchTrainer, milestones: Milestones) -> None:
        self.trainer, self.milestones = trainer, milestones

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """See ``Milestones.after``."""
        if self.trainer.step is not None:
            control.should_training_stop = self.milestones.after(self.trainer.step)
        return control
