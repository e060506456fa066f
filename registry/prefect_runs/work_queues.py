"""Organisations' work queues in Prefect: what the operator has set for them in the ledger, written there too.

The order of jobs is kept by ``registry.job_life.turns``. The queues show it, and hold the limits for whatever else runs in them.
"""

from __future__ import annotations

from sqlalchemy import select, update

from registry import organisations
from registry.ledger.tables import Organization
from registry.memory import Memory
from registry.prefect_api import POOLS, Prefect


def apply(memory: Memory) -> int:
    """Write limits and ranks of all organisations into their queues in all pools, if any of them has changed.

    Prefect knows no equal priorities: among equals the older organisation has the better rank.

    Returns:
        How many organisations had changed.

    Raises:
        ServiceUnavailableError: Prefect is away; the next call tries again.
    """
    with memory.database.reading() as session:
        if session.scalar(select(Organization.id).where(~Organization.queues_are_current).limit(1)) is None:
            return 0
        rows = organisations.list_all(session)
    ranked = sorted(rows, key=lambda row: (-row.priority, row.created_at, row.id))
    with Prefect(memory.settings) as prefect:
        for pool in POOLS:
            for rank, row in enumerate(ranked, 1):
                prefect.set_queue(pool, row.name, concurrency_limit=row.concurrency_limit, priority=rank)
    changed = [row for row in rows if not row.queues_are_current]
    with memory.database.session() as session:
        for row in changed:
            as_written = (
                Organization.id == row.id,
                Organization.priority == row.priority,
                Organization.concurrency_limit.is_not_distinct_from(row.concurrency_limit),
            )
            session.execute(update(Organization).where(*as_written).values(queues_are_current=True))
    return len(changed)
