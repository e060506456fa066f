"""Which evaluation was the best, and when further ones are not worth their while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class EarlyStopping:
    """The best validation loss so far.

    Attributes:
        patience: Evaluations in a row without a better loss after which training ends; None: never.
        best_loss: Of the best evaluation, in nats; None before the first.
        best_step: Optimizer steps done then.
        evaluations_since: Evaluations after the best one.
    """

    patience: int | None = None
    best_loss: float | None = None
    best_step: int | None = None
    evaluations_since: int = 0

    def take(self, step: int, loss: float) -> bool:
        """Take in an evaluation and return whether it is the best so far; a loss that is no number never is."""
        if loss < (float("inf") if self.best_loss is None else self.best_loss):
            self.best_loss, self.best_step, self.evaluations_since = loss, step, 0
            return True
        self.evaluations_since += 1
        return False

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.evaluations_since >= self.patience

    def state(self) -> dict[str, Any]:
        """Return what is kept with a checkpoint."""
        return {
            "best_valid_loss": self.best_loss,
            "best_step": self.best_step,
            "evaluations_since_best": self.evaluations_since,
        }
