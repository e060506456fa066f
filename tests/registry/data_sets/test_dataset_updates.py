"""Prefect is told of each new version of a file, until it has kept it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import ServiceUnavailableError
from registry.data_sets import dataset_updates, files
from registry.ledger.tables import DatasetUpdate, Organization
from registry.memory import Memory
from tests.registry.specs.saved_specs import OTHER_ROWS, save

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


class Listener(http.server.BaseHTTPRequestHandler):
    """Stands for Prefect's routes of events: keeps what it is told, and has stored all of it since ``stored_at``, if that is set."""

    told: list[dict[str, Any]] = []
    stored_at: datetime | None = None
    questions = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/filter"):
            Listener.questions += 1
            stored = {
                event["id"] for event in self.told if self.stored_at and event["id"] in body["filter"]["id"]["id"]
            }
            received = self.stored_at.isoformat() if self.stored_at else None
            answer = {"events": [{"id": id, "received": received} for id in stored]}
        else:
            self.told.extend(body)
            answer = {}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told(memory: Memory) -> Iterator[list[dict[str, Any]]]:
    Listener.told, Listener.stored_at, Listener.questions = [], None, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/api"
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": url})
    yield Listener.told
    server.shutdown()
    server.server_close()


def stored(*, seconds_ago: float = 60) -> None:
    Listener.stored_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)


def test_an_event_is_sent_until_prefect_has_stored_it_and_once_more_when_a_trigger_must_have_acted(
    ready: Workshop, acme: Organization, told: list[dict[str, Any]], memory: Memory
) -> None:
    ready.upload(acme, rows=OTHER_ROWS)
    assert [dataset_updates.send(memory) for _ in range(2)] == [0, 0]
    assert len(told) == 2 and told[0]["id"] == told[1]["id"]
    assert told[0]["occurred"] < told[1]["occurred"], "or the trigger would pass over it"
    stored(seconds_ago=1)
    assert (dataset_updates.send(memory), len(told)) == (0, 2)
    stored()
    assert (dataset_updates.send(memory), len(told)) == (1, 3)
    asked = Listener.questions
    assert (dataset_updates.send(memory), len(told), Listener.questions) == (0, 3, asked)


def test_only_a_new_version_of_a_data_set_is_announced(
    ready: Workshop, acme: Organization, told: list[dict[str, Any]], memory: Memory
) -> None:
    save(ready, acme)
    ready.upload(acme, "other.jsonl")
    for _ in range(2):
        ready.upload(acme, "step_metrics.csv", checked=False, purpose=files.RESULT_PURPOSE)
    second = ready.upload(acme, rows=OTHER_ROWS)
    ready.upload(acme, "other.jsonl", rows=OTHER_ROWS)
    for purpose in ("assistants", "evals", "user_data"):
        ready.upload(acme, rows=OTHER_ROWS, purpose=purpose)
    dataset_updates.send(memory)
    assert [event["payload"] for event in told] == [
        {"organization": "acme", "name": "train.jsonl", "version": 2, "file_id": second.id},
        {"organization": "acme", "name": "other.jsonl", "version": 2, "file_id": told[1]["payload"]["file_id"]},
    ]
    assert [event["event"] for event in told] == ["afinador.dataset.updated"] * 2
    assert [event["resource"]["afinador.retrains"] for event in told] == ["yes", "no"]


def test_nothing_is_lost_while_prefect_is_away(
    ready: Workshop, acme: Organization, memory: Memory, request: pytest.FixtureRequest
) -> None:
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    for _ in range(150):
        ready.upload(acme, rows=OTHER_ROWS, checked=False)
    with pytest.raises(ServiceUnavailableError):
        dataset_updates.send(memory)
    told = request.getfixturevalue("told")
    assert dataset_updates.send(memory) == 0
    assert [event["payload"]["version"] for event in told] == list(range(2, 152))
    assert len({event["id"] for event in told}) == 150
    stored()
    assert dataset_updates.send(memory) == 150
    with memory.database.reading() as session:
        assert session.query(DatasetUpdate).count() == 0
