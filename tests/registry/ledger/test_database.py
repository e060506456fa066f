"""Transactions and migrations."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text

from registry import organisations
from registry.ledger.database import MIGRATIONS, Database, after_commit, upgrade
from registry.ledger.tables import Organization, Table
from registry.memory import Memory


def names(memory: Memory) -> list[str]:
    with memory.database.reading() as session:
        return list(session.scalars(select(Organization.name).order_by(Organization.name)))


def test_transaction_is_rolled_back_on_an_error(memory: Memory) -> None:
    with pytest.raises(RuntimeError), memory.database.session() as session:
        organisations.create(session, "acme")
        raise RuntimeError
    assert names(memory) == []


def test_rows_stay_readable_after_their_transaction(memory: Memory) -> None:
    with memory.database.session() as session:
        organization = organisations.create(session, "acme")
    assert organization.name == "acme"


def test_read_then_write_of_concurrent_transactions_loses_nothing(memory: Memory) -> None:
    with memory.database.session() as session:
        organisations.create(session, "n-0")

    def add_next() -> None:
        for _ in range(10):
            with memory.database.session() as session:
                session.scalars(select(Organization).where(Organization.name == "n-0").with_for_update()).one()
                count = session.scalar(select(func.count()).select_from(Organization))
                organisations.create(session, f"n-{count}")

    threads = [threading.Thread(target=add_next) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names(memory)) == {f"n-{number}" for number in range(41)}


def test_reading_does_not_wait_for_a_writer(memory: Memory) -> None:
    with memory.database.session() as session:
        organisations.create(session, "acme")
        started = time.monotonic()
        assert names(memory) == []
        assert time.monotonic() - started < 5


def test_action_after_commit_runs_once_and_only_after_a_commit(memory: Memory) -> None:
    done: list[str] = []
    with memory.database.session() as session:
        with session.begin_nested():
            organisations.create(session, "acme")
        after_commit(session, lambda: done.append("committed"))
        assert done == []
    assert done == ["committed"]
    with pytest.raises(RuntimeError), memory.database.session() as session:
        after_commit(session, lambda: done.append("rolled back"))
        raise RuntimeError
    assert done == ["committed"]


def test_upgrade_is_idempotent_and_fast_when_there_is_nothing_to_do(ledger_url: str) -> None:
    upgrade(ledger_url)
    started = time.monotonic()
    upgrade(ledger_url)
    assert time.monotonic() - started < 0.3
    database = Database(ledger_url)
    assert set(Table.metadata.tables) <= set(inspect(database.engine).get_table_names())
    database.close()


def test_newest_revision_is_named_by_its_file(ledger_url: str) -> None:
    upgrade(ledger_url)
    database = Database(ledger_url)
    with database.engine.connect() as connection:
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    database.close()
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert newest.startswith(f"{found}_")


def test_upgrade_by_several_processes_at_once_succeeds_for_all(ledger_url: str, root: Path) -> None:
    script = f"from registry.ledger.database import upgrade; upgrade({ledger_url!r})"
    starters = [
        subprocess.Popen([sys.executable, "-c", script], cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    errors = [starter.communicate(timeout=60)[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0, 0], errors
    database = Database(ledger_url)
    with database.session() as session:
        organisations.create(session, "acme")
    database.close()
