"""How Prefect's health is told, and what is done while it is busy or away."""

from __future__ import annotations

import http.server
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from afinador.errors import ServiceUnavailableError
from registry.data_sets import dataset_updates
from registry.ledger.tables import DatasetUpdate, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import runs
from tests.registry.prefect_runs.runs_of_jobs import asked


def test_health_tells_prefect_and_workers_apart(served: Memory) -> None:
    found = runs.health(served.settings)
    assert found["prefect"]["status"] == "ok"
    assert (found["workers"]["status"], found["workers"]["cpu"]) == ("unavailable", 0)
    away = runs.health(served.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"}))
    assert away["prefect"]["status"] == "unavailable"
    assert "http://127.0.0.1:9/api" in away["prefect"]["message"]


class BusyTwice(http.server.BaseHTTPRequestHandler):
    """Answers 503 twice, as Prefect does while its database is locked, and then 200."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        self.send_response(503 if self.calls <= 2 else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_busy_server_is_asked_again(memory: Memory, tmp_path: Path) -> None:
    BusyTwice.calls = 0
    with http.server.HTTPServer(("127.0.0.1", 0), BusyTwice) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        with Prefect(memory.settings.model_copy(update={"prefect_api_url": url})) as prefect:
            prefect.check()
        server.shutdown()
    assert BusyTwice.calls == 3


def test_an_event_that_is_told_twice_is_stored_once_and_its_row_goes_when_it_is(
    served: Memory, prefect: Prefect, ready: Any, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.upload(acme, rows=[{"text": "a new one", "label": "of two"}] * 5)
    assert [dataset_updates.send(served) for _ in range(2)] == [0, 0]
    with served.database.reading() as session:
        (id,) = session.scalars(select(DatasetUpdate.id))
    end = time.monotonic() + 30
    while not prefect.events_since([id]):
        assert time.monotonic() < end
        time.sleep(0.05)
    monkeypatch.setattr(dataset_updates, "ACTED_ON_AFTER_SECONDS", 0)
    assert (dataset_updates.send(served), dataset_updates.send(served)) == (1, 0)
    chosen = {"filter": {"event": {"name": [dataset_updates.EVENT]}}}
    assert asked("POST", f"{prefect.url}/events/filter", json=chosen).json()["total"] == 1


def test_an_address_without_prefect_is_named(memory: Memory) -> None:
    settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    with (
        Prefect(settings) as prefect,
        pytest.raises(ServiceUnavailableError, match=re.escape("http://127.0.0.1:9/api")),
    ):
        prefect.check()
