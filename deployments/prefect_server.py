"""Prefect's server with three corrections for SQLite: ``python -m deployments.prefect_server [options of server start]``.

Without them the whole server stands still for a minute now and then, answers 503, and loses events when one is told to it
twice (docs/decisions/0009). With Prefect's data in PostgreSQL they have no effect.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import aiosqlite
import sqlalchemy
from prefect.cli import app
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.events.storage import database as event_storage
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

CHECKED = {"prefect": "3.8.8", "sqlalchemy": "2.0.58", "aiosqlite": "0.22.1"}
"""The versions whose source was read for the corrections; others are run as they are."""

_IDS_A_QUERY = 500
_write_events: Any = event_storage._write_sqlite_events


async def _execute(cursor: aiosqlite.Cursor, call: Any, *arguments: Any, **options: Any) -> Any:
    """Run a call of a cursor in its connection's thread, and close the cursor there if it fails.

    SQLAlchemy leaves such a cursor open, in a cycle with its traceback. Python's garbage collection resets it in
    whichever thread it runs, mostly the event loop's, and waits there for SQLite's mutex on the connection. Where the
    connection waits for the database's write lock, that takes until the time-out of a minute, because the transaction
    that has the lock cannot be committed while the event loop stands still.
    """
    connection = cursor._conn
    try:
        return await connection._execute(call, *arguments, **options)
    except BaseException:  # a cancelled call too leaves its cursor behind
        connection._tx.put_nowait((None, cursor._cursor.close))
        raise


@asynccontextmanager
async def _begin_transaction(
    configuration: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncIterator[AsyncSessionTransaction]:
    """Begin a transaction with the write lock, for which SQLite waits.

    Prefect takes the lock with the first write only. Where a read came before and another transaction was committed
    between the two, SQLite refuses at once: "database is locked". What begins inside of a transaction begins as in
    Prefect, or it would wait for the lock that its own surroundings hold.
    """
    is_inside = SQLITE_BEGIN_MODE.get() is not None
    token = SQLITE_BEGIN_MODE.set("DEFERRED" if is_inside and not with_for_update else "IMMEDIATE")
    try:
        async with session.begin() as transaction:
            await session.connection()  # sends BEGIN, which else comes with the first statement
            SQLITE_BEGIN_MODE.set("DEFERRED")
            yield transaction
    finally:
        SQLITE_BEGIN_MODE.reset(token)


async def _write_new_events(session: AsyncSession, events: list[ReceivedEvent]) -> None:
    """Write those events that are not there yet.

    Prefect means to pass over the others, too. But where all that fit into a statement are known, it inserts a row without
    values, which fails, and drops after five attempts whatever waits to be written, known or not.
    """
    new = {event.id: event for event in events}
    ids, column = list(new), provide_database_interface().Event.id
    for start in range(0, len(ids), _IDS_A_QUERY):
        known = await session.scalars(sqlalchemy.select(column).where(column.in_(ids[start : start + _IDS_A_QUERY])))
        for id in known:
            del new[id]
    if new:
        await _write_events(session, list(new.values()))


def correct() -> bool:
    """Put the corrections in place, and tell whether these are the versions that they were made for."""
    if any(version(name) != checked for name, checked in CHECKED.items()):
        return False
    aiosqlite.Cursor._execute = _execute  # type: ignore[method-assign,assignment]
    AioSqliteConfiguration.begin_transaction = _begin_transaction  # type: ignore[method-assign,assignment]
    event_storage._write_sqlite_events = _write_new_events  # type: ignore[assignment]
    return True


def main() -> None:
    """Run Prefect's server until it is stopped."""
    if not correct():
        sys.stderr.write(f"Prefect's server runs uncorrected: its corrections were made for {CHECKED}.\n")
    sys.argv[:] = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
