"""Checkpoints of a training that goes on meanwhile: the state is copied between two steps, and written by a thread."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.optim.lr_scheduler import LRScheduler

from afinador.config.spec import FineTuningSpec
from afinador.config.starting import Recipe
from afinador.data.tokens.batching import BatchOrder
from afinador.storage import require_free_space
from afinador.training.checkpoints import checkpoint_name, is_complete, save_checkpoint
from afinador.training.data_sets import Data
from afinador.training.describing import describe_checkpoint
from afinador.training.environment import environment_of, why_inexact
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir
from afinador.training.setup import MicroBatches, Subject
from afinador.training.training_state import (
    TrainingState,
    bytes_of_state,
    restore_optimizer,
    restore_weights,
    take_state,
)

logger = logging.getLogger(__name__)


class Saver:
    """Saves checkpoints of one training and starts it from one.

    Args:
        spec: Base model and data that states refer to by hash.
        subject: The model that is trained.
        data: What it learns from.
        optimizer: Its optimizer.
        schedule: Its learning rates.
        batches: The order of its data.
        passes: How a batch is cut.
        run_dir: Where checkpoints go.
        progress: How far it is.
    """

    def __init__(
        self,
        spec: FineTuningSpec,
        subject: Subject,
        data: Data,
        optimizer: torch.optim.Optimizer,
        schedule: LRScheduler,
        *,
        batches: BatchOrder,
        passes: MicroBatches,
        run_dir: RunDir,
        progress: Progress,
    ) -> None:
        self._spec, self._subject, self._data = spec, subject, data
        self._optimizer, self._schedule = optimizer, schedule
        self.batches = batches
        self._passes, self._run_dir, self._progress = passes, run_dir, progress
        self._environment = environment_of(subject.computing)
        self._recipe = Recipe.of(spec).model_dump(mode="json")
        self._writer: threading.Thread | None = None
        self._failure: Exception | None = None

    def resume(self, state: TrainingState) -> int:
        """Put a state back, all but the random generators, and return how many steps are done.

        Raises:
            TrainingError: The state does not fit this model.
            DataError: It does not fit this data.
        """
        steps_done: int = state.document["step"]
        restore_weights(state.weights, self._subject.model)
        restore_optimizer(state, self._optimizer, self._schedule)
        self.batches.keep_order(steps_done, state.order.tolist())
        self._progress.resume(state.document["progress"])
        inexact = why_inexact(state.document["environment"], self._environment)
        self._run_dir.log_event(
            "message",
            "warn" if inexact else "info",
            f"Training goes on after step {steps_done} of {self.batches.steps}, "
            + (f"{inexact}. It is exact in the order of its data only." if inexact else "exactly."),
            step=steps_done,
        )
        return steps_done

    def save(self, step: int, *, is_measured: bool = True) -> None:
        """Copy the state after a step and have it written; returns before it is, unless memory does not suffice.

        A complete checkpoint of that step, of an earlier attempt, stays as it is.

        Args:
            step: Optimizer steps done.
            is_measured: False where the evaluation that is due after this step is still to be made.

        Raises:
            AfinadorError: The checkpoint before could not be written.
        """
        if is_complete(self._run_dir, step):
            return
        started_at = time.monotonic()
        self.finish()
        in_background = self._copies_fit()
        state = take_state(
            self._subject.model,
            self._optimizer,
            self._schedule,
            self.batches.order_after(step),
            self._document(step, is_measured=is_measured),
            copy=in_background,
        )
        told = self._progress.state_at(step)
        if in_background:
            self._writer = threading.Thread(target=self._write_in_background, args=(state, told), name="checkpoint")
            self._writer.start()
        else:
            logger.info("Training waits for the checkpoint: there is no memory for a second copy of its state.")
            self._write(state, told)
        self._progress.checkpoint_seconds += time.monotonic() - started_at

    def finish(self) -> None:
        """Wait until the newest checkpoint is on the disk.

        Raises:
            AfinadorError: It could not be written.
        """
        self.wait()
        self.raise_if_failed()

    def wait(self) -> None:
        """Wait until no checkpoint is being written any more, whatever has become of it."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def raise_if_failed(self) -> None:
        """Do nothing as long as all checkpoints could be written.

        Raises:
            AfinadorError: One could not, such as for want of space.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _document(self, step: int, *, is_measured: bool) -> dict[str, Any]:
        epoch, position = divmod(step, self.batches.steps_per_epoch)
        return {
            "step": step,
            "is_measured": is_measured,
            "progress": self._progress.document(),
            "data": {"epoch": epoch, "position": position, "sha256": self._spec.training_file.sha256},
            "accumulated_micro_batches": 0,  # a checkpoint is taken between optimizer steps
            "micro_batches": asdict(self._passes),
            "base_model": {"name": self._spec.base_model.name, "sha256": self._spec.base_model.sha256},
            "recipe": self._recipe,
            "environment": self._environment,
        }

    def _copies_fit(self) -> bool:
        needed = bytes_of_state(self._subject.model, self._optimizer)
        return needed < psutil.virtual_memory().available / 2

    def _write_in_background(self, state: TrainingState, told: dict[str, Any]) -> None:
        try:
            self._write(state, told)
        except Exception as error:
            self._failure = error

    def _write(self, state: TrainingState, told: dict[str, Any]) -> None:
        def write(folder: Path) -> None:
            require_free_space(folder, state.bytes, f"Writing {checkpoint_name(told['step'])}")
            self._subject.write_weights(folder, trained=state.weights)
            describe_checkpoint(folder, self._spec, self._data, told)
            state.write(folder)

        save_checkpoint(self._run_dir, told, write, keep=self._spec.hyperparameters.save_total_limit)
