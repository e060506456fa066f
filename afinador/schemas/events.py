"""What happened in a job, in order."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from afinador.schemas.base import Wire

EventLevel = Literal["info", "warn", "error"]


class Event(Wire):
    """One thing that happened. ``type`` is OpenAI's ``message`` or ``metrics``; ``data`` is always an object."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    job_id: str
    created_at: int
    level: EventLevel
    message: str
    type: Literal["message", "metrics"] = "message"
    data: dict[str, Any] = Field(default_factory=dict)
