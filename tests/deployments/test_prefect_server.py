"""The corrections of how Prefect's server uses SQLite, on SQLAlchemy's and Prefect's own code."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiosqlite
import pytest
import sqlalchemy
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.events.storage import database as event_storage
from sqlalchemy.exc import IntegrityError

from deployments import prefect_server

HELD_SECONDS = 3.0
"""For so long another program holds the write lock."""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with one table, used with the corrections."""
    replaced: list[tuple[Any, str]] = [
        (aiosqlite.Cursor, "_execute"),
        (AioSqliteConfiguration, "begin_transaction"),
        (event_storage, "_write_sqlite_events"),
    ]
    for owner, name in replaced:
        monkeypatch.setattr(owner, name, getattr(owner, name))  # puts back at the end what the corrections replace
    assert prefect_server.correct()
    path = tmp_path / "database"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE place (name TEXT UNIQUE)")
        connection.execute("INSERT INTO place VALUES ('taken')")
    return path


def configured(path: Path) -> AioSqliteConfiguration:
    return AioSqliteConfiguration(f"sqlite+aiosqlite:///{path}")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def insert(session: Any, name: str) -> None:
    await session.execute(sqlalchemy.text("INSERT INTO place VALUES (:name)"), {"name": name})


def test_the_corrections_were_made_for_the_versions_that_are_installed() -> None:
    installed = {name: version(name) for name in prefect_server.CHECKED}
    assert installed == prefect_server.CHECKED, "Read their source, see whether the corrections are still needed."


def test_garbage_of_a_failed_statement_does_not_stop_the_event_loop(database: Path) -> None:
    """Its connection waits for the write lock in another thread, which holds SQLite's mutex on the connection."""

    async def collect_while_waiting() -> None:
        configuration = configured(database)
        engine = await configuration.engine()
        cycle: list[Any] = []
        try:
            async with await configuration.session(engine) as session:
                await insert(session, "taken")
        except IntegrityError as error:
            cycle.extend((cycle, error))  # as exceptions and their frames often hold each other
        holder = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        released = threading.Event()

        def release() -> None:
            released.set()
            holder.commit()

        timer = threading.Timer(HELD_SECONDS, release)
        timer.start()
        async with await configuration.session(engine) as session:  # the same connection, out of the pool
            waiting = asyncio.create_task(insert(session, "free"))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            del cycle
            gc.collect()
            went_on_while_it_was_held = not released.is_set()
            await waiting
        timer.join()
        holder.close()
        assert went_on_while_it_was_held

    gc.collect()
    gc.freeze()  # what is older than this test takes a second to look through
    gc.disable()
    try:
        run(collect_while_waiting())
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_transaction_that_reads_first_can_write_although_another_has_written(database: Path) -> None:
    async def read_then_write(configuration: AioSqliteConfiguration, engine: Any, name: str) -> None:
        async with (
            await configuration.session(engine) as session,
            configuration.begin_transaction(session),
        ):
            await session.execute(sqlalchemy.text("SELECT * FROM place"))
            await asyncio.sleep(0.2)
            await insert(session, name)

    async def three_at_once() -> None:
        configuration = configured(database)
        engine = await configuration.engine()
        await asyncio.gather(*(read_then_write(configuration, engine, name) for name in ("one", "two", "three")))

    run(three_at_once())
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM place").fetchone() == (4,)


def test_what_is_read_inside_of_a_transaction_does_not_wait_for_it(database: Path) -> None:
    async def read_inside() -> None:
        configuration = configured(database)
        engine = await configuration.engine()
        async with await configuration.session(engine) as outer, configuration.begin_transaction(outer):
            await insert(outer, "new")
            async with await configuration.session(engine) as inner, configuration.begin_transaction(inner):
                found = await inner.execute(sqlalchemy.text("SELECT count(*) FROM place"))
                assert found.scalar() == 1  # the outer one is not committed yet
        async with await configuration.session(engine) as later:
            assert (await later.execute(sqlalchemy.text("SELECT count(*) FROM place"))).scalar() == 2

    started_at = time.monotonic()
    run(read_inside())
    assert time.monotonic() - started_at < 30  # Prefect's connections wait for a lock for a minute


def test_an_event_that_is_told_again_takes_no_other_with_it(database: Path) -> None:
    def event() -> ReceivedEvent:
        resource = {"prefect.resource.id": "a.file"}
        return ReceivedEvent(id=uuid4(), event="updated", occurred=datetime.now(UTC), resource=resource, payload={})

    async def write_twice() -> None:
        configuration = configured(database)
        engine = await configuration.engine()
        tables = provide_database_interface()
        async with engine.begin() as connection:
            for table in (tables.Event.__table__, tables.EventResource.__table__):
                await connection.run_sync(table.create)
        known, new = event(), event()
        for events in ([known], [known], [known, new, new]):
            async with await configuration.session(engine) as session:
                await event_storage.write_events(session, events)
                await session.commit()
        async with await configuration.session(engine) as session:
            assert set(await session.scalars(sqlalchemy.select(tables.Event.id))) == {known.id, new.id}

    run(write_twice())
