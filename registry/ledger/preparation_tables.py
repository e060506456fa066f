"""The table of preparations of data sets."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from registry.ledger.table_base import Owned, Table, random_id


class Preparation(Owned, Table):
    """A data set that is taken through steps; ``status`` is queued, running, succeeded, failed or cancelled.

    Attributes:
        file_id: The data set.
        pipeline: ``{"steps": [...]}`` as they were given, with ``base_model`` where one was named.
        output: Name of what is made.
        submission: Counted up when it is given to Prefect anew, see ``registry.creation.preparations.MAX_SUBMISSIONS``.
        report: ``{"records", "steps"}``, see ``afinador.data.preparation.Prepared``.
        outputs: ``{file id: part}``, in their order; the part is "" where the data set was not split.
    """

    __tablename__ = "preparations"

    id: Mapped[str] = mapped_column(primary_key=True, default=random_id("preparation_"))
    status: Mapped[str] = mapped_column(default="queued", index=True)
    file_id: Mapped[str] = mapped_column(ForeignKey("files.id"), index=True)
    pipeline: Mapped[dict[str, Any]]
    output: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    finished_at: Mapped[float | None]
    submission: Mapped[int] = mapped_column(default=0)
    flow_run_id: Mapped[str | None]
    flow_run_url: Mapped[str | None] = mapped_column(Text)
    process_id: Mapped[int | None]
    process_started_at: Mapped[float | None]
    host: Mapped[str | None]
    heartbeat_at: Mapped[float | None]
    error: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None]
    outputs: Mapped[dict[str, str]] = mapped_column(default=dict)
