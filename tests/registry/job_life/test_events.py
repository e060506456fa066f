"""Events and curves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from afinador.errors import InvalidRequestError, NotFoundError, OutOfRangeError
from registry.job_life import events
from registry.ledger.tables import Event, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def test_sequence_has_neither_gaps_nor_doubles_under_concurrent_appends(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)

    def append_some() -> None:
        for number in range(10):
            with ready.memory.database.session() as session:
                events.append(session, job.id, f"{threading.get_ident()} {number}")

    threads = [threading.Thread(target=append_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ready.memory.database.reading() as session:
        sequences = list(session.scalars(select(Event.sequence).where(Event.job_id == job.id)))
    assert sorted(sequences) == list(range(1, 42))


def test_known_event_is_not_written_again(ready: Workshop, acme: Organization) -> None:
    first, second = ready.job(acme), ready.job(acme)
    with ready.memory.database.session() as session:
        assert events.append(session, first.id, "waiting", dedup_key="wait") is not None
        assert events.append(session, first.id, "waiting", dedup_key="wait") is None
        assert events.append(session, second.id, "waiting", dedup_key="wait") is not None
        assert events.append(session, first.id, "again") is not None
        assert events.append(session, first.id, "again") is not None


def test_known_event_is_written_once_by_concurrent_writers(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    written: list[bool] = []

    def append() -> None:
        with ready.memory.database.session() as session:
            written.append(events.append(session, job.id, "once", dedup_key="k") is not None)

    threads = [threading.Thread(target=append) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == [False, False, False, False, True]


def test_event_of_an_unknown_job_is_refused(memory: Memory) -> None:
    with memory.database.session() as session, pytest.raises(NotFoundError, match="ftjob-nobody"):
        events.append(session, "ftjob-nobody", "hello")


def test_pages_are_newest_first(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        for number in range(4):
            events.append(session, job.id, str(number))
    with ready.memory.database.reading() as session:
        first, has_more = events.list_page(session, acme.id, job.id, None, 3)
        rest, has_still_more = events.list_page(session, acme.id, job.id, first[-1].id, 3)
        assert [row.message for row in first] == ["3", "2", "1"]
        assert [row.sequence for row in rest] == [2, 1]
        assert (has_more, has_still_more) == (True, False)
        with pytest.raises(InvalidRequestError):
            events.list_page(session, acme.id, job.id, "ftevent-nobody")
        with pytest.raises(OutOfRangeError):
            events.list_page(session, acme.id, job.id, limit=101)


def test_curves_are_the_metrics_events_oldest_first(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    rows = [{"step": step, "train_loss": 1.0 / step} for step in (1, 2, 3)]
    with ready.memory.database.session() as session:
        for row in rows:
            events.append(session, job.id, "Step", type="metrics", data=row)
            events.append(session, job.id, "in between", type="checkpoint", data={"step": 1})
    with ready.memory.database.reading() as session:
        assert events.metrics(session, acme.id, job.id) == rows


def test_event_is_answered_with_openais_words(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        plain = events.append(session, job.id, "Watch out", level="warn")
        curve = events.append(session, job.id, "Step 1", type="metrics", data={"step": 1})
        other = events.append(session, job.id, "Saved", type="checkpoint")
    assert plain is not None and curve is not None and other is not None
    answer = events.to_wire(plain).model_dump()
    assert (answer["level"], answer["type"], answer["data"]) == ("warn", "message", {})
    assert answer["object"] == "fine_tuning.job.event" and answer["job_id"] == job.id
    assert (events.to_wire(curve).type, events.to_wire(curve).data) == ("metrics", {"step": 1})
    assert events.to_wire(other).type == "message"
