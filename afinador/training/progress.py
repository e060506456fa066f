"""What a run tells while it goes on: status, measurements, and a callback for whoever runs it in-process."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import TrainingError
from afinador.training.checkpoints import complete_checkpoints
from afinador.training.early_stopping import EarlyStopping
from afinador.training.run_dir import RunDir
from afinador.training.steps import Step, Window

if TYPE_CHECKING:  # it brings torch, and the first status is written before that is imported
    from afinador.evals.classification import Classification
    from afinador.evals.likelihood import Likelihood

logger = logging.getLogger(__name__)

STATUS_INTERVAL_SECONDS = 0.5
"""Least time between two writes of ``status.json`` within one state."""
MEASURING_LOG_SECONDS = 10.0
"""Least time between two log lines on how far a measuring is."""
_KEPT = ("skipped_steps", "seconds_per_epoch", "checkpoint_seconds", "train_loss", "valid_loss", "done_steps")
_KEPT_BEHIND = ("trained_tokens", "valid_figures", "validated_at", "step_loss")
_WINDOWS = ("window", "epoch", "training")
"""Attributes of ``Progress`` that a checkpoint keeps: public ones, private ones, and sums with their time."""


class Progress:
    """Writes status and measurements of one attempt.

    Args:
        run_dir: Where they go.
        attempt: Number of the attempt.
        callback: Called with each status written.

    Attributes:
        checkpoint_seconds: How long training has waited for its checkpoints.
    """

    def __init__(
        self, run_dir: RunDir, *, attempt: int, callback: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._run_dir = run_dir
        self._attempt = attempt
        self._callback = callback
        self._status: dict[str, Any] = {}
        self._written_at = self._said_at = 0.0
        self._phase_seconds: dict[str, float] = (run_dir.status() or {}).get("phase_seconds") or {}
        self._counted_at = time.monotonic()

    def enter(self, state: str, **fields: Any) -> None:
        """Say that the run is in another state now."""
        self._count_phase()
        self._status.update(fields, state=state)
        self._status.pop("measuring", None)
        self._write_status()
        logger.info("Now %s%s", state, f": {fields['reason']}." if "reason" in fields else ".")

    def start_training(self, steps: int, hyperparameters: Hyperparameters) -> None:
        """Say how long the training will be: so many optimizer steps in all epochs."""
        self._steps, self._epochs = steps, hyperparameters.epochs
        self._logging_steps = hyperparameters.logging_steps
        self._max_skipped_steps, self.skipped_steps = hyperparameters.max_skipped_steps, 0
        self.early_stopping = EarlyStopping(hyperparameters.early_stopping_patience)
        self._trained_tokens = 0
        self._window, self._epoch, self._training = Window(), Window(), Window()
        self._started_at, self._started_after = time.monotonic(), 0
        self.seconds_per_epoch: list[float] = []
        self.checkpoint_seconds = 0.0
        self.train_loss: float | None = None
        self.valid_loss: float | None = None
        self._valid_figures: dict[str, float] = {}
        self._validated_at: int | None = None
        self._step_loss: float | None = None
        self.done_steps = 0
        self.enter("training", step=0, steps=steps, epoch=0.0, tokens=0, eta_seconds=None)
        self._doubt_warmup(hyperparameters)

    def _doubt_warmup(self, hyperparameters: Hyperparameters) -> None:
        """Say so where training ends before the learning rate has risen."""
        warmup_steps, rate = hyperparameters.warmup_steps, hyperparameters.learning_rate
        if warmup_steps < self._steps:
            return
        self._run_dir.log_event(
            "message",
            "warn",
            f"The learning rate is still rising when training ends: warmup_steps is {warmup_steps}, and there are {self._steps} "
            f"steps in all. It reaches {rate * (self._steps - 1) / warmup_steps:.3g} of {rate:.3g}. Lower warmup_steps, or give "
            "warmup_ratio (0.1 is usual), or train for more epochs.",
            once="warm-up",
            steps=self._steps,
        )

    def document(self) -> dict[str, Any]:
        """Return all that a later attempt must know to go on counting where this one is."""
        return {name: getattr(self, f"_{name}") for name in _KEPT_BEHIND} | {
            **{name: getattr(self, name) for name in _KEPT},
            **{name: getattr(self, f"_{name}").document() for name in _WINDOWS},
            "early_stopping": asdict(self.early_stopping),
        }

    def resume(self, document: dict[str, Any]) -> None:
        """Go on counting where an earlier attempt was; follows ``start_training``."""
        for name in _KEPT_BEHIND:
            setattr(self, f"_{name}", document[name])
        for name in _KEPT:
            setattr(self, name, document[name])
        for name in _WINDOWS:
            setattr(self, f"_{name}", Window.parse(document[name]))
        for name, value in document["early_stopping"].items():
            setattr(self.early_stopping, name, value)
        self._started_after = self.done_steps
        self.enter("training", **self._position())

    def _position(self) -> dict[str, Any]:
        done = self.done_steps
        seconds_per_step = (time.monotonic() - self._started_at) / max(1, done - self._started_after)
        return {
            "step": done,
            "epoch": self.epoch_at(done),
            "tokens": self._trained_tokens,
            "eta_seconds": round(seconds_per_step * (self._steps - done), 1) if done > self._started_after else None,
            "train_loss": self._step_loss,  # of this step alone; rows are means since the row before
            "seconds_per_epoch": self.seconds_per_epoch,
        }

    @property
    def training_seconds(self) -> float:
        """How long was trained so far, by all attempts."""
        return self._training.seconds

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self._steps

    @property
    def trained_tokens(self) -> int:
        """Tokens seen so far, padding aside."""
        return self._trained_tokens

    def epoch_at(self, step: int) -> float:
        """Return how many epochs are done after a step."""
        return round(step * self._epochs / self._steps, 4)

    def state_at(self, step: int) -> dict[str, Any]:
        """Return how far the training is after a step, as it is kept with a checkpoint and in ``training.json``.

        ``train_loss`` is the last one logged; ``valid_loss`` is None unless it was measured at this very step, and the
        other figures of the validation file are left out then.
        """
        validated = self._validated_at == step
        return {
            "step": step,
            "epoch": self.epoch_at(step),
            "trained_tokens": self._trained_tokens,
            "train_loss": self.train_loss,
            "valid_loss": self.valid_loss if validated else None,
            **(self._valid_figures if validated else {}),
            "skipped_steps": self.skipped_steps,
            **self.early_stopping.state(),
        }

    def after_step(self, step: Step) -> None:
        """Take in one step, and log it where its turn is.

        Raises:
            TrainingError: Loss or gradient are no numbers, and that more often than ``max_skipped_steps``.
        """
        self.done_steps = step.number
        if step.is_usable:
            self._trained_tokens += step.input_tokens
            self._window.add(step)
            self._epoch.add(step)
            self._step_loss = step.loss_sum / step.targets
        else:
            self._skip(step)
        ends_epoch = step.number * self._epochs % self._steps == 0
        if step.number == 1 or step.number % self._logging_steps == 0 or ends_epoch:
            self._log(step)
        self._status.update(self._position())
        if time.monotonic() - self._written_at > STATUS_INTERVAL_SECONDS or step.number == self._steps:
            self._write_status()
        if ends_epoch:
            self._end_epoch(step)

    def after_validation(self, step: int, measured: Likelihood | Classification) -> bool:
        """Log the figures of the validation file after a step, and return whether its loss is the best so far."""
        self._status.pop("measuring", None)
        figures = measured.figures()
        self.valid_loss, self._validated_at = figures.pop("loss"), step
        self._valid_figures = figures
        self._status.update(valid_loss=self.valid_loss)
        logger.info("Step %d of %d: validation loss %.4f.", step, self._steps, self.valid_loss)
        self._run_dir.log_metrics(
            {
                "step": step,
                "epoch": self.epoch_at(step),
                "valid_loss": self.valid_loss,
                **figures,
                "total_steps": self._steps,
            }
        )
        return self.early_stopping.take(step, self.valid_loss)

    def while_measuring(self, model: str, what: str, done: int, total: int) -> None:
        """Say how far the measuring of a model is, in status and log, not too often.

        Args:
            model: ``tuned`` or ``base``.
            what: ``examples`` or ``answers``.
            done: How many of them are done.
            total: How many there are.
        """
        self._status["measuring"] = {"model": model, "what": what, "done": done, "total": total}
        now = time.monotonic()
        if now - self._written_at > STATUS_INTERVAL_SECONDS:
            self._write_status()
        if (done == 0 and self._status["state"] == "evaluating") or now - self._said_at > MEASURING_LOG_SECONDS:
            self._said_at = now
            logger.info("Measuring the %s model: %d of %d %s.", model, done, total, what)

    def _skip(self, step: Step) -> None:
        """Say that a step is left out, unless that has happened too often."""
        self.skipped_steps += 1
        what = "loss" if not math.isfinite(step.loss_sum) else "gradient"
        advice = (
            f"Lower learning_rate (it was {step.learning_rate:.3g}), raise warmup_steps, or set precision: float32."
        )
        if self.skipped_steps > self._max_skipped_steps:
            kept = complete_checkpoints(self._run_dir)
            raise TrainingError(
                f"The {what} of step {step.number} is no number, and max_skipped_steps is {self._max_skipped_steps}. "
                f"{f'The last checkpoint is {kept[-1].name}.' if kept else 'There is no checkpoint yet.'} {advice}",
                code="loss_not_finite",
            )
        self._run_dir.log_event(
            "message",
            "warn",
            f"Step {step.number} is skipped, for its {what} is no number "
            f"({self.skipped_steps} of at most {self._max_skipped_steps}). {advice}",
            once=f"skipped step {step.number}",
            step=step.number,
            skipped_steps=self.skipped_steps,
        )

    def _log(self, step: Step) -> None:
        if self._window.loss is None:
            return
        seconds = max(self._window.seconds, 1e-9)
        self.train_loss = self._window.loss
        logger.info(
            "Step %d of %d: loss %.4f, learning rate %.3g.",
            step.number,
            self._steps,
            self.train_loss,
            step.learning_rate,
        )
        self._run_dir.log_metrics(
            {
                "step": step.number,
                "epoch": self.epoch_at(step.number),
                "train_loss": self.train_loss,
                "train_accuracy": self._window.accuracy,
                "learning_rate": step.learning_rate,
                "grad_norm": step.gradient_norm if step.is_usable else None,
                "tokens_per_second": round(self._window.input_tokens / seconds, 1),
                "trained_tokens": self._trained_tokens,
                "total_steps": self._steps,
            }
        )
        self._window = Window()

    def _end_epoch(self, step: Step) -> None:
        self.seconds_per_epoch.append(round(self._epoch.seconds, 3))
        number, loss = len(self.seconds_per_epoch), self._epoch.loss
        said = "every step was skipped" if loss is None else f"mean training loss {loss:.4f}"
        self._run_dir.log_event(
            "epoch",
            "info",
            f"Epoch {number} of {self._epochs} done: {said}.",
            once=f"epoch {number}",
            epoch=number,
            step=step.number,
            train_loss=loss,
            seconds=self.seconds_per_epoch[-1],
        )
        self._epoch = Window()

    def _count_phase(self) -> None:
        """Add the time since the last look to the phase that the run is in, over all attempts."""
        now, phase = time.monotonic(), self._status.get("state", "starting")
        self._phase_seconds[phase] = round(self._phase_seconds.get(phase, 0.0) + now - self._counted_at, 3)
        self._counted_at = now
        self._status["phase_seconds"] = self._phase_seconds

    def _write_status(self) -> None:
        self._count_phase()
        self._run_dir.write_status(attempt=self._attempt, **self._status)
        self._written_at = time.monotonic()
        if self._callback is not None:
            self._callback({"attempt": self._attempt, **self._status})
