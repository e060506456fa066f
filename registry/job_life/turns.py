"""Whose turn it is among the jobs that wait for a work pool; the ledger decides, Prefect gets only what may start.

Organisations come by their priority; among equals the one that holds the fewest slots comes first, then the one whose
last turn is longest ago. Within an organisation jobs come by their priority, then by age. Why Prefect's own queues
cannot do this is in ``docs/decisions/0010-turns-in-the-ledger.md``.

Counting the slots of a pool and the jobs before one's own looks at all organisations, and answers with numbers alone.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from registry.ledger.database import changes
from registry.ledger.tables import Certificate, Job, Organization

_HOLDING_STATUSES = ("queued", "running", "pausing")


@dataclass(frozen=True)
class Place:
    """A job's place in the line of its pool; ``may_start`` unless its organisation has reached its limit."""

    job_id: str
    may_start: bool


@dataclass
class _Share:
    """What an organisation has of a pool."""

    priority: int
    limit: int | None
    held: int
    last_turn_at: float

    def is_full(self) -> bool:
        return self.limit is not None and self.held >= self.limit

    def order(self, first: Row[Any]) -> tuple[Any, ...]:
        """Return what organisations are sorted by; ``first`` is the first job that this one has waiting."""
        return self.is_full(), -self.priority, self.held, self.last_turn_at, first.created_at, first.id


def line(session: Session, pool: str) -> list[Place]:
    """Return all jobs that wait for a pool, in the order in which they would start if nothing else came."""
    queues: defaultdict[str, deque[Row[Any]]] = defaultdict(deque)
    columns = (Job.id, Job.organization_id, Job.created_at)
    order = (Job.priority.desc(), Job.created_at, Job.id)
    for row in session.execute(select(*columns).where(*_waits(pool)).order_by(*order)):
        queues[row.organization_id].append(row)
    shares = _shares(session, pool, queues)
    places, now = [], time.time()
    while queues:
        owner = min(queues, key=lambda each: shares[each].order(queues[each][0]))
        share = shares[owner]
        places.append(Place(queues[owner].popleft().id, not share.is_full()))
        share.held, share.last_turn_at = share.held + 1, now + len(places)
        if not queues[owner]:
            del queues[owner]
    return places


def give(session: Session, pool: str, slots: int | None) -> int:
    """Give turns to the first in the line while slots of the pool are free, and return to how many.

    Args:
        session: The transaction.
        pool: The work pool.
        slots: How many runs it takes at once; None without a limit.
    """
    # Where the database knows row locks, all who give turns wait for each other here.
    session.execute(select(Organization.id).order_by(Organization.id).limit(1).with_for_update(key_share=True))
    given, held = 0, sum(_held(session, pool).values())
    for place in line(session, pool):
        if not place.may_start or (slots is not None and held + given >= slots):
            break
        still_waits = (Job.id == place.job_id, *_waits(pool))
        given += changes(session, update(Job).where(*still_waits).values(turn_at=time.time()))
    return given


def positions(session: Session, jobs: Iterable[Job]) -> dict[str, int]:
    """Return the place in the line, from 1, of those of some jobs that wait for their turn."""
    waiting = [job for job in jobs if job.status == "queued" and job.turn_at is None and job.pool is not None]
    found: dict[str, int] = {}
    for pool in {job.pool for job in waiting}:
        found |= {place.job_id: number for number, place in enumerate(line(session, pool or ""), 1)}
    return {job.id: found[job.id] for job in waiting if job.id in found}


def note(session: Session, job_id: str) -> None:
    """Write down that a queued job was let go in Prefect, by a person or before it was paused: it is no longer in line."""
    waits = (Job.id == job_id, Job.status == "queued", Job.turn_at.is_(None))
    session.execute(update(Job).where(*waits).values(turn_at=time.time()))


def _waits(pool: str) -> tuple[Any, ...]:
    return Job.pool == pool, Job.status == "queued", Job.turn_at.is_(None)


def _held(session: Session, pool: str) -> dict[str, int]:
    """Return how many slots of a pool each organisation holds: jobs from their turn on, and proofs with a run."""
    has_turn = (Job.pool == pool, Job.status.in_(_HOLDING_STATUSES), Job.turn_at.is_not(None))
    has_run = (
        Certificate.pool == pool,
        Certificate.status.in_(_HOLDING_STATUSES),
        Certificate.flow_run_id.is_not(None),
    )
    held: defaultdict[str, int] = defaultdict(int)
    for owner, conditions in ((Job.organization_id, has_turn), (Certificate.organization_id, has_run)):
        for organization_id, count in session.execute(select(owner, func.count()).where(*conditions).group_by(owner)):
            held[organization_id] += count
    return held


def _shares(session: Session, pool: str, owners: Iterable[str]) -> dict[str, _Share]:
    held, waiting = _held(session, pool), list(owners)
    theirs = (Job.organization_id.in_(waiting), Job.pool == pool)
    last_turns = select(Job.organization_id, func.max(Job.turn_at)).where(*theirs).group_by(Job.organization_id)
    last_turn_at = {owner: at for owner, at in session.execute(last_turns)}
    rows = session.scalars(select(Organization).where(Organization.id.in_(waiting)))
    return {
        row.id: _Share(row.priority, row.concurrency_limit, held.get(row.id, 0), last_turn_at.get(row.id) or 0.0)
        for row in rows
    }
