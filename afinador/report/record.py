"""What a page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from afinador.schemas.certificates import Certificate
from afinador.schemas.checkpoints import Checkpoint
from afinador.schemas.events import Event
from afinador.schemas.files import File
from afinador.schemas.jobs import Job
from afinador.schemas.models import HubEntry


@dataclass(frozen=True)
class AttemptRecord:
    """One execution of a job.

    Attributes:
        end: succeeded, failed, cancelled, lost, held or paused; None while it goes on.
    """

    number: int
    started_at: float
    ended_at: float | None = None
    end: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class JobRecord:
    """All that is known of a job; lists are oldest first.

    Attributes:
        events: Those of type ``message``; metrics come as rows.
        older_events: How many earlier ones are left out.
        files: What it learns from and is measured on, by the field of the request.
        published: What the job has published at its end; checkpoints that somebody has published stand apart.
        written_at: When all this was read, Unix seconds.
    """

    job: Job
    written_at: float
    organization: str = ""
    events: Sequence[Event] = ()
    older_events: int = 0
    metrics: Sequence[dict[str, Any]] = ()
    resources: Sequence[dict[str, Any]] = ()
    attempts: Sequence[AttemptRecord] = ()
    checkpoints: Sequence[Checkpoint] = ()
    certificates: Sequence[Certificate] = ()
    files: dict[str, File] = field(default_factory=dict)
    published: HubEntry | None = None
    published_checkpoints: Sequence[HubEntry] = ()
