"""What flows, workers and people do to a job and its run, and what Prefect and the ledger then say of both."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil

from registry import jobs
from registry.job_life import events
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState
from registry.prefect_runs import runs

START_TIMEOUT_SECONDS = 90


def asked(method: str, url: str, **sent: Any) -> httpx.Response:
    """Ask Prefect, again while its SQLite file is locked (503)."""
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while (answer := httpx.request(method, url, timeout=60, **sent)).status_code == 503 and time.monotonic() < end:
        time.sleep(0.2)
    return answer.raise_for_status()


def claim(memory: Memory, job: Job, process_id: int, *, started_at: float | None = None) -> Job:
    """Claim a job as the flow in this process would."""
    born = psutil.Process(process_id).create_time() if started_at is None else started_at
    with memory.database.session() as session:
        claimed = jobs.claim(
            session,
            job.id,
            flow_run_id=job.flow_run_id,
            process_id=process_id,
            process_started_at=born,
            host=socket.gethostname(),
        )
    assert claimed is not None
    return claimed


def claim_by_a_dead_process(memory: Memory, job: Job) -> Job:
    return claim(memory, job, os.getpid(), started_at=1.0)


def ask(memory: Memory, request: Any, job: Job) -> None:
    with memory.database.session() as session:
        request(session, job.organization_id, job.id)


def stop(memory: Memory, job: Job) -> None:
    with memory.database.session() as session:
        assert jobs.stop(session, job.id, job.attempt) is not None


def suspend_as_the_flow(prefect: Prefect, job: Job) -> None:
    """Do what ``suspend_flow_run`` does."""
    prefect.set_state(job.flow_run_id or "", "RUNNING", "Running", "")
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}}
    asked("POST", f"{prefect.url}/flow_runs/{job.flow_run_id}/set_state", json=body)
    assert state_of(prefect, job).name == "Suspended"


def suspend_as_the_ui(prefect: Prefect, job: Job) -> None:
    """Do what the button of Prefect's UI does: a pause that ends by failing the run."""
    soon = datetime.now(UTC) + timedelta(seconds=300)
    details = {"pause_reschedule": True, "pause_timeout": soon.isoformat()}
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}}
    asked("POST", f"{prefect.url}/flow_runs/{job.flow_run_id}/set_state", json=body)
    assert not state_of(prefect, job).is_lasting


def state_of(prefect: Prefect, job: Job) -> RunState:
    return prefect.run_states([job.flow_run_id or ""])[job.flow_run_id or ""]


def run_of(prefect: Prefect, job: Job) -> dict[str, Any]:
    return asked("GET", f"{prefect.url}/flow_runs/{job.flow_run_id}").json()


def messages(memory: Memory, job: Job) -> list[str]:
    with memory.database.reading() as session:
        rows, _ = events.list_page(session, job.organization_id, job.id, after=None, limit=100)
    return [row.message for row in rows]


def stop_paused(served: Memory, prefect: Prefect, submitted: Job, stored: Any) -> None:
    """Let a job run, pause and suspend itself; its process has gone."""
    claim_by_a_dead_process(served, submitted)
    ask(served, jobs.request_pause, submitted)
    stop(served, stored(submitted.id))
    suspend_as_the_flow(prefect, submitted)
    for _ in range(2):
        runs.settle(served, since=time.time() + 1)
    assert (stored(submitted.id).status, stored(submitted.id).request_state) == ("paused", None)
