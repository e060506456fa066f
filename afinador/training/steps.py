"""One optimizer step, and sums over several."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One optimizer step.

    Attributes:
        number: Counted from 1 over all epochs.
        loss_sum: Over all targets of the batch, in nats.
        targets: How many were predicted: tokens that were trained on; of a classifier, texts.
        input_tokens: All tokens of the batch but the padding.
        gradient_norm: Before clipping.
        correct: How many targets were the most likely choice, before the step.
    """

    number: int
    loss_sum: float
    targets: int
    input_tokens: int
    learning_rate: float
    gradient_norm: float
    correct: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether loss and gradient are numbers; the optimizer leaves the step out where they are not."""
        return math.isfinite(self.loss_sum) and math.isfinite(self.gradient_norm)


@dataclass
class Window:
    """Sums since the last row."""

    loss_sum: float = 0.0
    targets: int = 0
    input_tokens: int = 0
    correct: int = 0
    started_at: float = field(default_factory=time.monotonic)

    def add(self, step: Step) -> None:
        """Add a step."""
        self.loss_sum += step.loss_sum
        self.targets += step.targets
        self.input_tokens += step.input_tokens
        self.correct += step.correct

    @property
    def loss(self) -> float | None:
        """Mean over the targets; None where all steps were skipped."""
        return self.loss_sum / self.targets if self.targets else None

    @property
    def accuracy(self) -> float | None:
        """Share of the targets that were the most likely choice; None where all steps were skipped."""
        return self.correct / self.targets if self.targets else None

    @property
    def seconds(self) -> float:
        """How long it is open, time between attempts left out."""
        return time.monotonic() - self.started_at

    def document(self) -> dict[str, Any]:
        """Return it as it is kept with a checkpoint: a time of this process means nothing to another one."""
        return asdict(self) | {"started_at": None, "seconds": self.seconds}

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Window:
        """Read what ``document`` gave, in whichever process."""
        sums = {key: document[key] for key in ("loss_sum", "targets", "input_tokens")}
        return cls(**sums, correct=document.get("correct", 0), started_at=time.monotonic() - document["seconds"])
