"""Submits many jobs of two organisations at once to few slots, and watches who holds which slot until all have ended.

``python tests/faults/crowd.py --jobs 20 --slots 2`` starts the whole stack on a home of its own and prints what it saw as
JSON. Exit code 1 when a job does not succeed, a slot is held twice, or the organisation with few jobs waits for the other.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.integration.stack import Stack, start, stop  # noqa: E402

SETTINGS = {"epochs": 1, "batch_size": 8, "learning_rate": 5e-4}
SECONDS_A_JOB = 90.0
ENDED = ("succeeded", "failed", "cancelled")
LEDGER = "SELECT jobs.id, jobs.status, leases.device FROM jobs LEFT JOIN leases ON leases.job_id = jobs.id"
TURNS = "SELECT id FROM jobs ORDER BY turn_at"


@dataclass
class Seen:
    """What was seen while the jobs ran.

    Attributes:
        started: Ids of jobs in the order in which they got their slots.
        holders: For each device, the jobs that held it, one after the other.
        most_trainers: Highest number of training processes at one moment.
        most_waiting: Highest number of runs that waited in Prefect at one moment.
    """

    seconds: float = 0.0
    started: list[str] = field(default_factory=list)
    holders: dict[str, list[str]] = field(default_factory=dict)
    most_trainers: int = 0
    most_waiting: int = 0
    late: int = 0


class Member:
    """An organisation with the base model and a small file."""

    def __init__(self, stack: Stack, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=f"{stack.base_url}/v1", headers=headers, timeout=60)
        source = str(stack.root / "examples" / "base_model" / "model")
        if self.http.get("/models/tiny").is_error:
            self.http.post("/models", json={"name": "tiny", "source": source}).raise_for_status()
        rows = (ROOT / "examples" / "data" / "train.jsonl").read_text().splitlines(keepends=True)[:16]
        file = ("crowd.jsonl", "".join(rows).encode())
        self.http.post("/files", files={"file": file}, data={"purpose": "fine-tune"}).raise_for_status()
        end = time.monotonic() + 60
        while self.http.get("/models/tiny").raise_for_status().json()["status"] != "ready":
            assert time.monotonic() < end, "the base model is not ready"
            time.sleep(0.1)

    def submit(self, **fields: Any) -> str:
        """Create a quick job and return its id."""
        body = {"base_model": "tiny", "dataset": "crowd", "pool": "cpu", "hyperparameters": SETTINGS} | fields
        return str(self.http.post("/fine_tuning/jobs", json=body).raise_for_status().json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it is answered."""
        return dict(self.http.get(f"/fine_tuning/jobs/{job_id}").raise_for_status().json())

    def messages(self, job_id: str) -> list[str]:
        """Return what happened in a job, newest first."""
        rows = self.http.get(f"/fine_tuning/jobs/{job_id}/events", params={"limit": 100}).raise_for_status().json()
        return [row["message"] for row in rows["data"]]


def second_member(stack: Stack) -> Member:
    """Make another organisation, with a key and what a job needs."""
    headers = {"Authorization": f"Bearer {stack.operator_key}"}
    with httpx.Client(base_url=f"{stack.base_url}/v1", headers=headers, timeout=60) as operator:
        operator.post("/organizations", json={"name": "globex"}).raise_for_status()
        key = operator.post("/api_keys", json={"organization": "globex"}).raise_for_status().json()["key"]
    return Member(stack, key)


def run(stack: Stack, jobs: int, slots: int, unlike: Sequence[dict[str, Any]] = ()) -> Seen:
    """Submit the jobs, watch them to their end, and hold what was seen against what must be.

    Args:
        stack: Where nothing else runs.
        jobs: How many, a tenth of them, but one at least, of a second organisation.
        slots: How many run at once.
        unlike: What the first ones are asked for beside what all are.

    Raises:
        AssertionError: It is not so.
    """
    first, second = Member(stack, stack.key), second_member(stack)
    several = few_of(jobs)
    asked = dict(enumerate(unlike))
    many = [first.submit(**{"name": f"many-{number}"} | asked.get(number, {})) for number in range(jobs - several)]
    few = [second.submit(name=f"few-{number}") for number in range(several)]
    seen = watch(stack, {*many, *few}, slots)
    for member, ids in ((first, many), (second, few)):
        for job_id in ids:
            job = member.job(job_id)
            assert (job["status"], job["attempt"], job["queue_position"]) == ("succeeded", 1, None), job["error"]
    assert sorted(seen.started) == sorted([*many, *few])
    assert len(seen.holders) == slots, "each slot was used"
    assert seen.late == 0, "a run that waits is not late"
    turns = [job_id for (job_id,) in _ask(stack, TURNS)]
    later = [job_id for job_id in many if turns.index(job_id) > turns.index(few[-1])]
    assert len(later) >= len(many) // 3, "the few waited for the many"
    assert any("of the pool 'cpu'; position" in message for message in first.messages(many[-1]))
    return seen


def few_of(jobs: int) -> int:
    """Return how many jobs are the second organisation's; all others are the first one's, and submitted before."""
    return max(1, jobs // 10)


def watch(stack: Stack, ids: set[str], slots: int) -> Seen:
    """Look at leases, processes and Prefect's runs until these jobs, the only ones that are open, have ended."""
    seen, began = Seen(), time.monotonic()
    end = began + 60 + SECONDS_A_JOB * len(ids) / slots
    while True:
        rows = [row for row in _ask(stack, LEDGER) if row[0] in ids]
        if all(row[1] in ENDED for row in rows):
            seen.seconds = round(time.monotonic() - began, 1)
            return seen
        assert time.monotonic() < end, rows
        _note(seen, rows, slots)
        trainers = _trainers(stack)
        assert len(trainers) <= slots, trainers
        seen.most_trainers = max(seen.most_trainers, len(trainers))
        waiting = _waiting_runs(stack)
        seen.most_waiting = max(seen.most_waiting, len(waiting))
        seen.late += waiting.count("Late")
        time.sleep(0.3)


def _note(seen: Seen, rows: list[Any], slots: int) -> None:
    holders = {device: job_id for job_id, _, device in rows if device}
    running = [job_id for job_id, status, _ in rows if status == "running"]
    assert len(running) <= slots, running
    assert len(set(holders.values())) == len(holders) <= slots, holders
    for device, job_id in holders.items():
        history = seen.holders.setdefault(device, [])
        if not history or history[-1] != job_id:
            assert job_id not in seen.started, f"{job_id} got a second slot"
            history.append(job_id)
            seen.started.append(job_id)


def _ask(stack: Stack, question: str) -> list[Any]:
    with sqlite3.connect(f"file:{stack.home / 'ledger.db'}?mode=ro", uri=True, timeout=30) as ledger:
        return ledger.execute(question).fetchall()


def _trainers(stack: Stack) -> set[str]:
    """Return the run directories in which a process trains now."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return {
        words[words.index("afinador.training.run") + 1]
        for words in commands
        if "afinador.training.run" in words and any(str(stack.home) in word for word in words)
    }


def _waiting_runs(stack: Stack) -> list[str]:
    body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "flows": {"name": {"any_": ["fine-tune"]}}}
    answer = httpx.post(f"{stack.prefect_url}/flow_runs/filter", json=body, timeout=30)
    return [row["state"]["name"] for row in answer.json()] if answer.is_success else []


def main() -> int:
    """Start the stack, submit, watch, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python tests/faults/crowd.py", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20, help="how many, a tenth of them of a second organisation")
    parser.add_argument("--slots", type=int, default=2, help="how many run at once")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="afinador-crowd-"))
    stack = start(ROOT, home, AFINADOR_CPU_SLOTS=str(options.slots))
    try:
        seen = run(stack, options.jobs, options.slots)
    except AssertionError:
        traceback.print_exc()
        print(f"The home is kept: {home}", file=sys.stderr)
        return 1
    finally:
        stop(stack)
    print(json.dumps({"jobs": options.jobs, "slots": options.slots, **vars(seen)}, indent=1))
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
