"""The ledger's connection and its migrations: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    Connection,
    CursorResult,
    Dialect,
    Engine,
    UpdateBase,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

RETRY_SECONDS = 0.5
"""Between two tries to begin a transaction."""
MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x4146494E
"""Any number that no other program on the same PostgreSQL uses for the same purpose."""
_ACTIONS = "after_commit"

logger = logging.getLogger(__name__)


class Database:
    """The ledger, open.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://…``.
        patience_seconds: How long the first statement of a transaction waits while the ledger is locked or away.
    """

    def __init__(self, url: str, *, patience_seconds: float = 0.0) -> None:
        self.url = url
        self.engine = _engine(url, patience_seconds)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._readers = sessionmaker(self.engine.execution_options(sqlite_begin="DEFERRED"), expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a transaction: committed at the end, rolled back on an error. Rows stay readable afterwards.

        On SQLite it takes the write lock at its first statement, so what it reads cannot change under it; keep it short.
        """
        with self._sessions() as session:
            with session.begin():
                yield session
            for action in session.info.pop(_ACTIONS, []):
                action()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a transaction that only reads, and on SQLite neither waits for writers nor holds them up."""
        with self._readers() as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def after_commit(session: Session, action: Callable[[], None]) -> None:
    """Do something once the transaction of ``Database.session`` is committed; nothing if it is rolled back."""
    session.info.setdefault(_ACTIONS, []).append(action)


def changes(session: Session, statement: UpdateBase) -> bool:
    """Execute a conditional update or delete, and tell whether its condition held for any row."""
    return cast(CursorResult[Any], session.execute(statement)).rowcount > 0


def upgrade(url: str) -> None:
    """Bring the ledger to the newest schema; several processes may call this at once, also on a fresh one."""
    engine = _engine(url)
    try:
        if _is_current(engine):
            return
        with _migration_lock(engine), engine.begin() as connection:
            _migrate(connection)
    finally:
        engine.dispose()


def _engine(url: str, patience_seconds: float = 0.0) -> Engine:
    path = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite":
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": 30})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", partial(_begin_sqlite, patience_seconds))
    else:
        engine = create_engine(url, pool_pre_ping=True)
    event.listen(engine, "do_connect", partial(_connect, patience_seconds))
    return engine


def _connect(patience_seconds: float, dialect: Dialect, _: object, words: Any, options: Any) -> Any:
    return _patiently(
        lambda: dialect.connect(*words, **options), patience_seconds, dialect.loaded_dbapi.OperationalError
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver would begin transactions by itself, and too late: only at the first write.
    connection.isolation_level = None
    for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(patience_seconds: float, connection: Connection) -> None:
    # A transaction that reads first and writes later fails on SQLite when another one has written in between.
    kind = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    _patiently(lambda: connection.exec_driver_sql(f"BEGIN {kind}"), patience_seconds, OperationalError)


def _patiently(begin: Callable[[], Any], patience_seconds: float, refusal: type[Exception]) -> Any:
    """Try again and again to begin, while the ledger is locked or away and patience lasts."""
    end = time.monotonic() + patience_seconds
    while True:
        try:
            return begin()
        except refusal as error:
            if time.monotonic() >= end:
                raise
            logger.warning("The ledger cannot be written or read (%s); trying again.", getattr(error, "orig", error))
            time.sleep(RETRY_SECONDS)


def _is_current(engine: Engine) -> bool:
    """Compare with the newest revision's file name, which spares the import of Alembic."""
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found == newest.partition("_")[0]


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.migration-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    else:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})


def _migrate(connection: Connection) -> None:
    # Alembic takes a third of a second to import, and is rarely needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
