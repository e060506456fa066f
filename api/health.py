"""Whether the parts answer: asked every few seconds in the background, so that the answer itself is instant."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import create_engine, make_url, text

from afinador.errors import AfinadorError
from afinador.settings import Settings
from registry.memory import Memory

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
STALE_SECONDS = 60.0
ESSENTIAL = ("database", "storage")
"""Without these the service can do nothing."""

Verdict = dict[str, Any]
"""``{"status": "ok" | "unavailable" | "unknown", "message": a sentence or None}`` and what else a part says."""
Check = Callable[[], dict[str, Verdict]]
"""Asks one or more parts; raises when none of them answers."""


@dataclass
class _Watched:
    """One check, the names of the parts that it asks, and what it found last."""

    names: tuple[str, ...]
    check: Check
    verdicts: dict[str, Verdict]
    looked_at: float


class Health:
    """Asks each part in a thread of its own, so that one that hangs hides no other.

    Args:
        checks: How to ask, by the names of the parts that are asked together. The essential ones are asked once before
            ``start`` returns.
    """

    def __init__(self, checks: dict[tuple[str, ...], Check]) -> None:
        self._watched = [
            _Watched(names, check, _same(names, "unknown", "not asked yet"), time.monotonic())
            for names, check in checks.items()
        ]
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        for watched in self._watched:
            if set(watched.names) & set(ESSENTIAL):
                self._look(watched)
            name = f"health {' '.join(watched.names)}"
            threading.Thread(target=self._watch, args=(watched,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Cease to ask."""
        self._stopping.set()

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the service can work at all, and what ``GET /health`` answers (without the version)."""
        checks = self._checks()
        usable = all(checks[name]["status"] == "ok" for name in ESSENTIAL)
        well = all(check["status"] == "ok" for check in checks.values())
        return usable, {"status": "ok" if well else "degraded", "checks": checks}

    def workers_online(self) -> dict[str, int]:
        """Return how many workers each pool had when they were last looked at; nothing while Prefect does not answer."""
        checks = self._checks()
        if checks.get("prefect", {}).get("status") != "ok":
            return {}
        return {name: count for name, count in checks["workers"].items() if isinstance(count, int)}

    def _checks(self) -> dict[str, Verdict]:
        return {name: _fresh(watched)[name] for watched in self._watched for name in watched.names}

    def _watch(self, watched: _Watched) -> None:
        if not set(watched.names) & set(ESSENTIAL):
            self._look(watched)
        while not self._stopping.wait(CHECK_SECONDS):
            self._look(watched)

    def _look(self, watched: _Watched) -> None:
        try:
            watched.verdicts = watched.check()
        except Exception as error:
            # Any failure is this check's finding. What libraries say may hold addresses with passwords.
            logger.info("Health check of %s failed", watched.names, exc_info=True)
            message = error.message if isinstance(error, AfinadorError) else f"does not answer ({type(error).__name__})"
            watched.verdicts = _same(watched.names, "unavailable", message)
        watched.looked_at = time.monotonic()


def _fresh(watched: _Watched) -> dict[str, Verdict]:
    """Return what was found last; what hangs for a minute does not count."""
    age_seconds = time.monotonic() - watched.looked_at
    if age_seconds <= STALE_SECONDS:
        return watched.verdicts
    return _same(watched.names, "unavailable", f"no answer for {age_seconds:.0f} s")


def _same(names: tuple[str, ...], status: str, message: str) -> dict[str, Verdict]:
    return {name: {"status": status, "message": message} for name in names}


def checks_of(memory: Memory, runs_health: Callable[[Settings], dict[str, Any]]) -> dict[tuple[str, ...], Check]:
    """Return the checks of the real parts."""
    well: Verdict = {"status": "ok", "message": None}

    def database() -> dict[str, Verdict]:
        with memory.database.reading() as session:
            session.execute(text("SELECT 1"))
        return {"database": well}

    def storage() -> dict[str, Verdict]:
        memory.storage.check()
        return {"storage": well}

    def mlflow() -> dict[str, Verdict]:
        _ask_mlflow(memory.settings.tracking_uri)
        return {"mlflow": well}

    return {
        ("database",): database,
        ("storage",): storage,
        ("prefect", "workers"): lambda: runs_health(memory.settings),
        ("mlflow",): mlflow,
    }


def _ask_mlflow(tracking_uri: str) -> None:
    """Ask MLflow's database, or its server, without importing MLflow."""
    if tracking_uri.startswith(("http://", "https://")):
        # Reading the certificates takes longer than the call; plain HTTP needs none.
        verify = tracking_uri.startswith("https:")
        httpx.get(f"{tracking_uri.rstrip('/')}/health", timeout=5, verify=verify).raise_for_status()
        return
    url = make_url(tracking_uri)
    if url.get_backend_name() == "sqlite":
        sqlite3.connect(f"file:{url.database}?mode=ro", uri=True, timeout=5).close()
        return
    engine = create_engine(url, pool_pre_ping=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        engine.dispose()
