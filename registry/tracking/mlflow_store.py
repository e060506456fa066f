"""MLflow's database: made once under a lock, checked for an answer, and the environment that MLflow needs."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from afinador.errors import ConfigurationError, NotFoundError, ServiceUnavailableError
from afinador.settings import Settings
from afinador.wording import without_paths

_REQUIRED = {"MLFLOW_ENABLE_WORKSPACES": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
_PREFERRED = {
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is raised as well
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default blocks four minutes while a server is down
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_CONNECT_TIMEOUT_SECONDS = 5
_ADVISORY_LOCK = 0x4D4C464C
"""Any number that no other program on the same PostgreSQL uses for the same purpose."""


def prepare_environment() -> None:
    """Set what MLflow reads from the environment; must come before MLflow is imported.

    Without workspaces organisations would see each other's models, and MLflow would not say so.

    Raises:
        ConfigurationError: The environment says otherwise.
    """
    for name, needed in _REQUIRED.items():
        given = os.environ.setdefault(name, needed)
        if given.lower() not in (needed, "1"):
            raise ConfigurationError(f"{name} is {given!r}; it must be {needed!r}. Unset it.", param=name)
    for name, value in _PREFERRED.items():
        os.environ.setdefault(name, value)


def address(settings: Settings) -> str:
    """Return MLflow's address without a password, or the name of a local file: where that lies is the server's affair."""
    try:
        if (database := _sqlite_file(settings)) is not None:
            return f"SQLite, {database.name}"
        return make_url(settings.tracking_uri).render_as_string(hide_password=True)
    except ArgumentError:
        return settings.tracking_uri


def require_answer(settings: Settings) -> None:
    """Ask a database server for a sign of life.

    Raises:
        ServiceUnavailableError: None came within 5 s.
    """
    if not settings.tracking_uri.startswith("postgresql"):
        return
    engine = create_engine(settings.tracking_uri, connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise ServiceUnavailableError(
            f"MLflow's database {address(settings)} does not answer. Start it, or correct MLFLOW_TRACKING_URI."
        ) from error
    finally:
        engine.dispose()


def upgrade(settings: Settings) -> None:
    """Make MLflow's tables, or bring them to this MLflow's version; several processes may call this at once.

    Two first openers would destroy a fresh SQLite store, hence the lock. When this version of MLflow did it before, a
    stamp file says so and MLflow is not even imported. Behind ``http://`` it is the server's work.

    Raises:
        ConfigurationError: See ``prepare_environment``.
        ServiceUnavailableError: The database does not answer, or is broken.
    """
    uri = settings.tracking_uri
    if uri.startswith(("http://", "https://")) or _is_stamped(settings):
        return
    require_answer(settings)
    prepare_environment()
    settings.home.mkdir(parents=True, exist_ok=True)
    with _migration_lock(settings):
        if _is_stamped(settings):
            return
        with translated(settings):
            database = _sqlite_file(settings)
            if database is None:
                _migrate(uri)
            else:
                _migrate_sqlite(database)
        _stamp_file(settings).write_text(_stamp(settings), encoding="utf-8")


def _migrate(uri: str) -> None:
    from mlflow.db import upgrade as command

    assert command.callback is not None
    command.callback(uri)


def _migrate_sqlite(database: Path) -> None:
    """Make a new store beside its place and rename it: one that was left half made could never be opened again."""
    place = database
    if not database.is_file():
        place = database.with_name(f"{database.name}.new")
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
    _migrate(f"sqlite:///{place}")
    place.rename(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # the file remembers it


def _sqlite_file(settings: Settings) -> Path | None:
    uri = settings.tracking_uri
    return Path(make_url(uri).database or "") if uri.startswith("sqlite") else None


def _stamp_file(settings: Settings) -> Path:
    return settings.home / "mlflow-schema.json"


def _stamp(settings: Settings) -> str:
    # Hashed, for the address may hold a password.
    return json.dumps({"mlflow": version("mlflow"), "database": sha256(settings.tracking_uri.encode()).hexdigest()})


def _is_stamped(settings: Settings) -> bool:
    database = _sqlite_file(settings)
    if database is not None and not database.is_file():
        return False
    stamp = _stamp_file(settings)
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp(settings)


@contextmanager
def _migration_lock(settings: Settings) -> Iterator[None]:
    with (settings.home / "mlflow-schema.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not settings.tracking_uri.startswith("postgresql"):
            yield
            return
        engine = create_engine(settings.tracking_uri)
        try:
            with engine.connect() as connection:  # closing the connection frees the lock
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
                yield
        finally:
            engine.dispose()


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turn what MLflow raises into our errors; only first lines, for the others hold SQL."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = str(error.message).partition("\n")[0]
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError(f"MLflow has no such thing: {reason}") from error
        raise ServiceUnavailableError(f"MLflow ({address(settings)}) does not do its work: {reason}") from error
    except (SQLAlchemyError, OSError) as error:
        raise ServiceUnavailableError(
            f"MLflow ({address(settings)}) does not answer: {without_paths(str(error))}"
        ) from error
