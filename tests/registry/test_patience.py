"""A ledger that is away for a while."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from registry.ledger.database import Database, upgrade


def test_patient_transaction_begins_when_the_ledger_is_back(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    url = f"sqlite:///{home / 'ledger.db'}"
    upgrade(url)
    database = Database(url, patience_seconds=30)
    home.rename(away)
    threading.Timer(1.5, lambda: away.rename(home)).start()
    started_at = time.monotonic()
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM jobs")) == 0
    assert time.monotonic() - started_at >= 1.4
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM jobs")) == 0
    database.close()


@pytest.mark.parametrize("patience_seconds", [0.0, 0.6])
def test_patience_ends(tmp_path: Path, patience_seconds: float) -> None:
    (tmp_path / "home").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}", patience_seconds=patience_seconds)
    (tmp_path / "home").rmdir()
    with pytest.raises(OperationalError), database.session() as session:
        session.scalar(text("SELECT 1"))
