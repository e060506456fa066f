"""Follow a job until it ends: its state and what happens in it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from afinador.client import calls
from afinador.client.asynchronous import paging, waiting
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.errors import ServiceUnavailableError
from afinador.schemas.jobs import ENDED_STATUSES

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Look:
    """What one look at a job showed.

    Attributes:
        job: As the service answers it.
        events: What happened since the look before, oldest first.
    """

    job: dict[str, Any]
    events: list[dict[str, Any]]


class Patience:
    """Tells how long a service that has answered once may be away: two minutes from its first failure on."""

    def __init__(self) -> None:
        self._has_answered = False
        self._away_since: float | None = None

    def note_answer(self) -> None:
        """Begin anew: the service is there."""
        self._has_answered, self._away_since = True, None

    def bears_failure(self) -> bool:
        """Note that the service does not answer, and tell whether to ask again."""
        now = time.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        return self._has_answered and now - self._away_since <= PATIENCE_SECONDS


def has_ended(job: dict[str, Any]) -> bool:
    """Tell whether nothing will happen to a job any more."""
    return job["status"] in ENDED_STATUSES


async def follow(
    connection: AsyncConnection,
    job: str,
    *,
    poll_seconds: float = POLL_SECONDS,
    timeout_seconds: float | None = None,
    with_events: bool = True,
    on_presence: Callable[[bool], object] | None = None,
) -> AsyncIterator[Look]:
    """Look at a job again and again; the last look shows it ended, with all its events.

    A service that goes away, to be restarted for instance, is waited for.

    Args:
        connection: Where to ask.
        job: Id or name.
        poll_seconds: Between two looks.
        timeout_seconds: Stop after this long, with a job that has not ended; None: never.
        with_events: False leaves the events out.
        on_presence: Told False when the service has ceased to answer, and True when it answers again.

    Raises:
        NotFoundError: There is no such job.
        ServiceUnavailableError: The service was away for more than two minutes, or at the very first look.
    """
    started_at, patience = time.monotonic(), Patience()
    newest: str | None = None
    is_there = True
    while True:
        try:
            state = await connection.json(calls.get_job(job), "status")  # before the events: none can follow an end
            events = await _events_behind(connection, job, newest) if with_events else []
        except ServiceUnavailableError:
            if not patience.bears_failure():
                raise
            if is_there and on_presence:
                on_presence(False)
            is_there = False
        else:
            if not is_there and on_presence:
                on_presence(True)
            patience.note_answer()
            is_there = True
            newest = events[-1]["id"] if events else newest
            yield Look(state, events)
            if has_ended(state):
                return
        if timeout_seconds is not None and time.monotonic() - started_at >= timeout_seconds:
            return
        await waiting.pause(poll_seconds)


async def _events_behind(connection: AsyncConnection, job: str, newest: str | None) -> list[dict[str, Any]]:
    """Return a job's events behind one of them, oldest first; the service lists them newest first."""
    found = []
    # After the first look there are few new ones, so that small pages do.
    async for event in paging.iterate(connection, calls.list_events(job), page_size=20 if newest else 100):
        if event["id"] == newest:
            break
        found.append(event)
    return found[::-1]


async def follow_events(
    connection: AsyncConnection, job: str, after: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Yield a job's events, from the first one on, until the job has ended; reconnects when need be.

    Args:
        connection: Where to ask.
        job: Id or name.
        after: Id of an event; those that came after it are yielded.

    Raises:
        NotFoundError: There is no such job.
        ServiceUnavailableError: The service was away for more than two minutes, or at the very first look.
    """
    newest = after
    patience = Patience()
    while True:
        try:
            async for event in connection.messages(calls.follow_events(job, newest), patience.note_answer):
                newest = event["id"]
                yield event
            return
        except ServiceUnavailableError:
            if not patience.bears_failure():
                raise
            await waiting.pause(POLL_SECONDS)


async def follow_log(connection: AsyncConnection, job: str) -> AsyncIterator[str]:
    """Yield the lines of a job's log, from the first one on, until the job has ended; reconnects when need be.

    Raises:
        NotFoundError: There is no such job.
        ServiceUnavailableError: The service was away for more than two minutes, or at the very first look.
    """
    seen_lines = 0
    patience = Patience()
    while True:
        number = 0
        try:
            async for message in connection.messages(calls.job_logs(job, follow=True), patience.note_answer):
                number += 1
                if number > seen_lines:
                    seen_lines = number
                    yield message["line"]
            return
        except ServiceUnavailableError:
            if not patience.bears_failure():
                raise
            await waiting.pause(POLL_SECONDS)


async def await_settled(
    connection: AsyncConnection,
    call: calls.Call,
    unsettled: str,
    *,
    poll_seconds: float = 0.3,
    timeout_seconds: float = 3600,
) -> dict[str, Any]:
    """Ask again until an object's ``status`` is no longer ``unsettled``, and return it.

    For files, which are ``uploaded`` until they were checked, and base models, which are ``registering``. When the
    time is over the object is returned as it is.
    """
    until = time.monotonic() + timeout_seconds
    while (thing := await connection.json(call, "status"))["status"] == unsettled and time.monotonic() < until:
        await waiting.pause(poll_seconds)
        poll_seconds = min(poll_seconds * 1.5, 5.0)
    return thing
