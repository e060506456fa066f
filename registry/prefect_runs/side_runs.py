"""The Prefect runs of what is made beside jobs, certificates and preparations: settled when their processes have died."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from registry.ledger.tables import Certificate, Preparation
from registry.memory import Memory
from registry.prefect_api import LIVE_STATES, Prefect, RunState
from registry.prefect_runs.flow_processes import flow_lives
from registry.prefect_runs.settling import STUCK_AFTER_SECONDS

_END_STATES = {"succeeded": "COMPLETED", "failed": "FAILED"}


@dataclass(frozen=True)
class Work:
    """What is made by runs of one kind.

    Attributes:
        table: Where the ledger has it.
        cancel: Ends it as cancelled, by its id.
        requeue: Has it made anew by another run, by its id.
    """

    table: type[Certificate] | type[Preparation]
    cancel: Callable[[Session, str], Any]
    requeue: Callable[[Session, str], Any]


def settle(memory: Memory, work: Work, *, since: float | None = None) -> None:
    """Look once at all that is under way: what has no process is made anew, what was cancelled in Prefect ends.

    A run that a dead process has left behind is closed, so that it holds no place of its work pool.

    Args:
        memory: Ledger and the address of Prefect.
        work: What is looked at.
        since: When the supervisor of this host has started, in Unix seconds; what was Pending or Running before has no
            process any more.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    table = work.table
    with memory.database.reading() as session:
        is_open = or_(table.status == "queued", table.process_id.is_not(None))
        chosen = select(table).where(is_open, table.flow_run_id.is_not(None))
        rows: list[Certificate | Preparation] = list(session.scalars(chosen))
    if rows:
        with Prefect(memory.settings) as prefect:
            for row in rows:
                _settle(memory, prefect, work, row, since or 0.0)


def _settle(memory: Memory, prefect: Prefect, work: Work, row: Certificate | Preparation, since: float) -> None:
    if row.process_id is not None and flow_lives(row):
        return
    run_id, table = row.flow_run_id or "", work.table
    state = prefect.run_state(run_id)
    is_cancelled = state is not None and state.type in ("CANCELLING", "CANCELLED")
    if row.status == "queued" and state is not None and not is_cancelled and _is_on_its_way(state, since):
        return
    if state is not None and state.type in LIVE_STATES:
        type = _END_STATES.get(row.status, "CANCELLED")
        prefect.set_state(run_id, type, type.title(), "The process of the run has gone.")
    with memory.database.session() as session:
        (work.cancel if is_cancelled else work.requeue)(session, row.id)
        gone = update(table).where(table.id == row.id, table.process_id == row.process_id)
        session.execute(gone.values(process_id=None))


def _is_on_its_way(state: RunState, since: float) -> bool:
    """Tell whether a run of something that is queued is yet to begin."""
    if state.type in ("SCHEDULED", "PAUSED"):
        return True
    is_recent = state.timestamp > max(since, time.time() - STUCK_AFTER_SECONDS)
    return state.type in ("PENDING", "RUNNING") and is_recent
