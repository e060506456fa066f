"""Rounds of housekeeping in which something goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from afinador.errors import ServiceUnavailableError
from afinador.settings import Settings
from deployments.housekeeper import Housekeeper
from registry.ledger.database import upgrade
from registry.prefect_runs import housekeeping

PARTS = [
    ("runs", "settle"),
    ("dataset_updates", "send"),
    ("submissions", "settle"),
    ("runs", "submit_waiting"),
    ("base_model_uploads", "end_abandoned"),
]
NAMES = [".".join(part) for part in PARTS]
NOBODY = "http://127.0.0.1:9/api"


@pytest.fixture
def prefect() -> Iterator[str]:
    """A server that answers every question with an empty list, as a Prefect with no workers does."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def round_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Does one round in which some parts fail, and tells which ones were tried."""

    def do(prefect_url: str, errors: dict[str, Exception]) -> list[str]:
        tried: list[str] = []

        def stand_in(name: str) -> Callable[..., None]:
            def part(*_: object, **__: object) -> None:
                tried.append(name)
                if name in errors:
                    raise errors[name]

            return part

        for module, function in PARTS:
            monkeypatch.setattr(getattr(housekeeping, module), function, stand_in(f"{module}.{function}"))
        settings = Settings(_env_file=None, home=tmp_path, prefect_api_url=prefect_url)  # type: ignore[call-arg]
        upgrade(settings.ledger_url)
        Housekeeper(settings, since=0.0)._do_round()
        return tried

    return do


def test_events_are_sent_before_jobs_are_submitted(round_at: Callable[..., list[str]]) -> None:
    assert round_at(NOBODY, {}) == NAMES
    assert NAMES.index("dataset_updates.send") < NAMES.index("runs.submit_waiting")


def test_round_ends_where_prefect_is_first_missed(round_at: Callable[..., list[str]]) -> None:
    assert round_at(NOBODY, {"dataset_updates.send": ServiceUnavailableError("Prefect is away.")}) == NAMES[:2]


@pytest.mark.parametrize("name", NAMES)
def test_what_fails_by_itself_stops_nothing_else(
    name: str, prefect: str, round_at: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    assert round_at(prefect, {name: ServiceUnavailableError("Prefect answered 422 to POST /events.")}) == NAMES
    assert "answered 422" in caplog.text
    assert round_at(NOBODY, {name: RuntimeError("unforeseen")}) == NAMES
    assert "unforeseen" in caplog.text
