"""What happened in a job, in order."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from afinador.schemas.base import CreatedAt, Id, Wire

_OPENAI_NAMES = {
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "full_valid_loss",
    "accuracy": "full_valid_mean_token_accuracy",
}
"""What OpenAI calls the figures that are measured; ours of the validation file are always those of the whole file."""

EventLevel = Literal["info", "warn", "error"]


class Event(Wire):
    """One thing that happened.

    Attributes:
        job_id: In which job.
        level: ``warn`` of what a person should look at, ``error`` of what ended the job.
        message: A sentence for people.
        type: ``metrics`` of the figures of a step, which are in ``data``; else ``message``.
        data: Always an object; of a step ``step``, ``train_loss`` and others, also under the names that OpenAI gives them.
    """

    id: Id
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    job_id: str
    created_at: CreatedAt
    level: EventLevel
    message: str
    type: Literal["message", "metrics"] = "message"
    data: dict[str, Any] = Field(default_factory=dict)


def with_openai_names(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a step with those under OpenAI's names besides."""
    other = {name: figures[own] for own, name in _OPENAI_NAMES.items() if figures.get(own) is not None}
    return {**figures, **other}
