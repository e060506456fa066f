"""The runs of certificates and preparations, which are made beside jobs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from afinador.schemas.preparations import PrepareRequest
from registry import certificates
from registry.creation import preparations
from registry.ledger.tables import Organization
from registry.memory import Memory
from registry.prefect_api import Prefect
from registry.prefect_runs import certificate_runs, preparation_runs

SideRows = Callable[[], Any]


@pytest.fixture(params=["certificate", "preparation"])
def side(request: pytest.FixtureRequest, served: Memory, ready: Any, acme: Organization) -> tuple[Any, Any, SideRows]:
    """Something made beside jobs, given to Prefect: what submits and settles it, what claims and ends it, and its row."""
    with served.database.session() as session:
        if request.param == "certificate":
            job = ready.job(acme)
            made: Any = certificates.verify_resume(session, acme.id, job.id, 20)
        else:
            steps = {"file": "train.jsonl", "steps": [{"type": "shuffle"}]}
            made = preparations.create(session, served, acme.id, PrepareRequest.model_validate(steps))
    work, rows = (
        (certificate_runs, certificates) if request.param == "certificate" else (preparation_runs, preparations)
    )
    assert (work.submit_waiting(served), work.submit_waiting(served)) == (1, 0)

    def read() -> Any:
        with served.database.reading() as session:
            return session.get_one(type(made), made.id)

    return work, rows, read


def begin(memory: Memory, rows: Any, row: Any, *, started_at: float) -> None:
    process = {"process_id": os.getpid(), "process_started_at": started_at, "host": socket.gethostname()}
    with memory.database.session() as session:
        if rows is certificates:
            assert rows.claim(session, row.id, row.flow_run_id or "", **process) is not None
        else:
            assert rows.claim(session, row.id, row.flow_run_id or "", process) is not None


def test_what_lost_its_process_beside_jobs_is_made_anew_by_another_run(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, rows, read = side
    first = read()
    work.settle(served)
    assert (read().status, read().flow_run_id) == ("queued", first.flow_run_id), "its run waits for a worker"
    prefect.set_state(first.flow_run_id or "", "RUNNING", "Running", "")
    begin(served, rows, first, started_at=psutil.Process().create_time())
    work.settle(served)
    assert read().status == "running", "its process lives"
    with served.database.session() as session:
        session.get_one(type(first), first.id).process_started_at = 1.0
    work.settle(served)
    again = read()
    assert (again.status, again.submission, again.flow_run_id) == ("queued", 1, None)
    state = prefect.run_state(first.flow_run_id or "")
    assert state is not None and state.type == "CANCELLED", "it holds no slot of its pool"
    assert work.submit_waiting(served) == 1
    assert read().flow_run_id not in (None, first.flow_run_id)


def test_what_could_not_begin_beside_jobs_is_made_anew_three_times_and_fails_then(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, _, read = side
    for _ in range(3):
        assert read().status == "queued"
        prefect.set_state(read().flow_run_id or "", "CRASHED", "Crashed", "Process exited with status code: 1.")
        work.settle(served)
        work.submit_waiting(served)
    assert read().status == "failed"


def test_what_is_cancelled_in_prefect_beside_jobs_ends(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, _, read = side
    prefect.set_state(read().flow_run_id or "", "CANCELLED", "Cancelled", "")
    work.settle(served)
    assert read().status == "cancelled"


def test_the_run_of_what_has_ended_is_closed_when_its_process_could_not(
    served: Memory, prefect: Prefect, side: tuple[Any, Any, SideRows]
) -> None:
    work, rows, read = side
    prefect.set_state(read().flow_run_id or "", "RUNNING", "Running", "")
    begin(served, rows, read(), started_at=1.0)
    with served.database.session() as session:
        if rows is certificates:
            document = {"type": "resume", "equal": True, "steps": 7, "resumed_after": 3}
            rows.finish(session, read().id, "succeeded", document=document)
        else:
            rows.finish(session, read().id, "failed", {"code": "no_records", "message": "None is left.", "param": None})
    ended = read().status
    work.settle(served)
    state = prefect.run_state(read().flow_run_id or "")
    assert state is not None and state.type == {"succeeded": "COMPLETED", "failed": "FAILED"}[ended]
    assert (read().status, read().process_id) == (ended, None)


def test_certificates_wait_while_prefect_is_away(memory: Memory, ready: Any, acme: Organization) -> None:
    job = ready.job(acme)
    memory.settings = memory.settings.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    with memory.database.session() as session:
        certificates.verify_resume(session, acme.id, job.id, 20)
    assert certificate_runs.submit_waiting(memory) == 0
