"""Jobs that are paused, resumed and cancelled from either side, and that outlive their trainer."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STEPS = {"epochs": 3, "batch_size": 1, "learning_rate": 1e-4, "save_steps": 50}
TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def uploaded(stack: Any, quick: tuple[Path, Path]) -> None:
    with stack.http() as http:
        content = ("long.jsonl", quick[0].read_bytes())
        http.post("/files", files={"file": content}, data={"purpose": "fine-tune"}).raise_for_status()


def start_training(stack: Any, name: str) -> dict[str, Any]:
    """Create a job and wait until it has trained a step."""
    body = {"base_model": "tiny", "dataset": "long", "output_model": name, "hyperparameters": STEPS}
    with stack.http() as http:
        job = http.post("/fine_tuning/jobs", json=body).raise_for_status().json()
    return training(stack, job["id"])


def training(stack: Any, job_id: str, *, beyond: int = 0) -> dict[str, Any]:
    """Wait until the job trains again."""
    while True:
        job = stack.wait(job_id, until=("running",))
        if ((job["progress"] or {}).get("step") or 0) > beyond:
            return job
        time.sleep(0.1)


def trainers_of(job_id: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "afinador.training.run" in (words := process.info["cmdline"] or []) and any(job_id in word for word in words)
    ]


def flow_of(trainer: psutil.Process) -> int:
    """Return the process id of the flow that has started a trainer."""
    words = trainer.cmdline()
    return int(words[words.index("--flow-process") + 1].split(":")[0])


def leases_of(stack: Any, job_id: str) -> int:
    with sqlite3.connect(f"file:{stack.home / 'ledger.db'}?mode=ro", uri=True) as ledger:
        return int(ledger.execute("SELECT count(*) FROM leases WHERE job_id = ?", [job_id]).fetchone()[0])


def run_of(stack: Any, job: dict[str, Any]) -> str:
    return f"{stack.prefect_url}/flow_runs/{job['run_url'].rsplit('/', 1)[1]}"


def runs_of(stack: Any, job: dict[str, Any]) -> int:
    """Return how often the flow of a job was started."""
    return int(httpx.get(run_of(stack, job), timeout=30).raise_for_status().json()["run_count"])


def wait_for_run(stack: Any, job: dict[str, Any], name: str) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while (state := httpx.get(run_of(stack, job), timeout=30).json()["state"])["name"] != name:
        assert time.monotonic() < end, state
        time.sleep(0.2)


def require_no_fault(stack: Any, job: dict[str, Any], until: str) -> None:
    """See that the run's page shows what was asked for as neither a failure nor a fault."""
    run_id = run_of(stack, job).rsplit("/", 1)[1]
    log = stack.log_of_run(run_id, until=until)
    assert not any(level >= logging.ERROR or "Traceback" in message for level, message in log), log
    body = {"task_runs": {"flow_run_id": {"any_": [run_id]}}}
    tasks = httpx.post(f"{stack.prefect_url}/task_runs/filter", json=body, timeout=30).raise_for_status().json()
    states = {(task["name"], task["state_type"]) for task in tasks}
    assert ("train", "CANCELLED") in states and not any(state == "FAILED" for _, state in states), states


def wait_for_end(job_id: str) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while trainers_of(job_id):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_job_is_paused_resumed_from_both_sides_and_outlives_its_trainer(stack: Any, uploaded: None) -> None:
    job = start_training(stack, "rested")
    client = stack.openai()
    assert leases_of(stack, job["id"]) == 1
    assert client.fine_tuning.jobs.pause(job["id"]).status == "pausing"
    paused = stack.wait(job["id"], until=("paused",))
    assert leases_of(stack, job["id"]) == 0 and not trainers_of(job["id"])
    wait_for_run(stack, paused, "Suspended")
    require_no_fault(stack, job, "The job was asked to stop (pause)")
    shown = stack.command_line("get", "fine-tuning-job", job["id"])
    assert "paused" in shown.stdout and "afinador resume" in shown.stderr
    shutil.rmtree(stack.home / "runs" / job["id"])  # as on another host
    assert client.fine_tuning.jobs.resume(job["id"]).status == "queued"
    again = training(stack, job["id"], beyond=paused["progress"]["step"])
    assert (again["attempt"], again["run_url"]) == (2, job["run_url"]), "the same page in Prefect"
    starts = runs_of(stack, job)
    (trainer,) = trainers_of(job["id"])
    trainer.kill()
    while training(stack, job["id"])["attempt"] == 2:
        time.sleep(0.1)
    assert runs_of(stack, job) == starts, "the same process goes on"

    state = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
    httpx.post(f"{run_of(stack, job)}/set_state", json={"state": state}, timeout=30).raise_for_status()
    stack.wait(job["id"], until=("paused",))
    wait_for_end(job["id"])
    time.sleep(3)  # a round of housekeeping must not take it for resumed
    assert stack.wait(job["id"], until=("paused",))["attempt"] == 3
    wait_for_run(stack, job, "Suspended")
    httpx.post(f"{run_of(stack, job)}/resume", json={}, timeout=30).raise_for_status()
    ended = stack.wait(job["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 4), ended["error"]
    wait_for_run(stack, ended, "Completed")
    with stack.http() as http:
        rows = http.get(f"/fine_tuning/jobs/{job['id']}/events", params={"limit": 100}).json()["data"]
    assert any(row["message"].endswith("it was no longer on this machine.") for row in rows)
    (said,) = [row for row in rows if "ended by signal 9" in row["message"]]
    assert said["level"] == "warn" and "goes on as attempt 3" in said["message"]


def test_job_without_a_flow_is_paused_and_cancelled_and_a_waiting_one_never_runs(stack: Any, uploaded: None) -> None:
    job = start_training(stack, "given-up")
    os.kill(flow_of(*trainers_of(job["id"])), signal.SIGKILL)
    assert stack.command_line("pause", "fine-tuning-job", job["id"]).returncode == 0
    stack.wait(job["id"], until=("paused",))
    assert leases_of(stack, job["id"]) == 0 and not trainers_of(job["id"])
    wait_for_run(stack, job, "Suspended")
    with stack.http() as http:
        (kept,) = http.get(f"/fine_tuning/jobs/{job['id']}/checkpoints", params={"limit": 1}).json()["data"]
    assert kept["step_number"] == stack.wait(job["id"], until=("paused",))["progress"]["step"] > 0
    httpx.post(
        f"{run_of(stack, job)}/set_state", json={"state": {"type": "CANCELLING", "name": "Cancelling"}}, timeout=30
    ).raise_for_status()
    assert stack.wait(job["id"])["status"] == "cancelled"
    running = start_training(stack, "cancelled")
    with stack.http() as http:
        http.post(f"/fine_tuning/jobs/{running['id']}/cancel").raise_for_status()
    require_no_fault(stack, running, "The job was cancelled")
    body = {"base_model": "tiny", "dataset": "long", "output_model": "never-ran", "hyperparameters": STEPS}
    with stack.http() as http:
        waiting = http.post("/fine_tuning/jobs", json=body).raise_for_status().json()
        assert http.post(f"/fine_tuning/jobs/{waiting['id']}/pause").json()["status"] == "paused"
        time.sleep(5)  # two rounds of housekeeping
        paused = http.get(f"/fine_tuning/jobs/{waiting['id']}").json()
        assert (paused["status"], paused["attempt"]) == ("paused", 0)
        if paused["run_url"]:  # it was paused after its turn had come
            wait_for_run(stack, paused, "Suspended")
        assert http.post(f"/fine_tuning/jobs/{waiting['id']}/cancel").json()["status"] == "cancelled"
    if paused["run_url"]:
        wait_for_run(stack, paused, "Cancelled")
