"""A job on a real stack, its processes, and what must be true of it in the end."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.stack import Stack, start

TIMES = {"timestamp_ms", "tokens_per_second", "created_at"}
ENDED = ("succeeded", "failed", "cancelled")
SETTINGS = {
    "epochs": 10, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 5e-4, "lora_dropout": 0.2, "save_steps": 7,
    "logging_steps": 1, "eval_steps": 20, "generation_examples": 2, "generation_max_new_tokens": 8, "max_attempts": 10,
}  # fmt: skip
"""Some 120 steps, so that there is time to disturb them."""


class Victim:
    """One job.

    Args:
        stack: Where it runs; replaced when the supervisor was killed.
        name: The job's and its result's.
        dataset: Name of the training file.
        validation: Name of the validation file.
    """

    def __init__(self, stack: Stack, name: str, dataset: str, validation: str) -> None:
        self.stack, self.name = stack, name
        body = {
            "name": name,
            "base_model": "tiny",
            "dataset": dataset,
            "validation_dataset": validation,
            "output_model": name,
            "seed": 11,
            "hyperparameters": SETTINGS,
        }
        with stack.http() as http:
            answer = http.post("/fine_tuning/jobs", json=body)
        assert answer.status_code == 200, answer.text
        self.id: str = answer.json()["id"]

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return self.stack.home / "runs" / self.id

    def get(self, path: str, **params: Any) -> Any:
        """Ask the API, which may just be starting again."""
        end = time.monotonic() + 90
        while True:
            try:
                with self.stack.http() as http:
                    answer = http.get(path, params=params)
                if answer.status_code < 500:
                    return answer.raise_for_status().json()
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            assert time.monotonic() < end, f"{path} is not answered"
            time.sleep(0.3)

    def job(self) -> dict[str, Any]:
        """Return the job as it is."""
        return dict(self.get(f"/fine_tuning/jobs/{self.id}"))

    def post(self, action: str) -> httpx.Response:
        """Ask for a pause or the like."""
        with self.stack.http() as http:
            return http.post(f"/fine_tuning/jobs/{self.id}/{action}")

    def pause(self, timeout_seconds: float) -> bool:
        """Pause, and return whether the job is paused now; it may have ended meanwhile."""
        if self.post("pause").is_error:
            return False
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            status = self.job()["status"]
            if status == "paused":
                return True
            if status in ENDED:
                return False
            time.sleep(0.3)
        raise AssertionError(f"The job is not paused after {timeout_seconds:.0f} s: {self.job()}")

    def step(self) -> int:
        """Return how far the newest attempt is, from the run directory."""
        try:
            return int(json.loads((self.run_dir / "status.json").read_text()).get("step") or 0)
        except (OSError, ValueError):
            return 0

    def await_training(self, timeout_seconds: float) -> float | None:
        """Wait until a further step was trained; returns the seconds, or None when the job has ended."""
        started_at, trained = time.monotonic(), self._trained()
        while time.monotonic() - started_at < timeout_seconds:
            if self._trained() > trained:
                return time.monotonic() - started_at
            if self.job()["status"] in ENDED:
                return None
            time.sleep(0.2)
        raise AssertionError(f"No step for {timeout_seconds:.0f} s: {self.job()}\n" + "\n".join(self.messages()[-12:]))

    def _trained(self) -> int:
        try:
            return (self.run_dir / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return 0

    def wait(self, timeout_seconds: float) -> dict[str, Any]:
        """Wait until the job has ended."""
        end = time.monotonic() + timeout_seconds
        while (job := self.job())["status"] not in ENDED:
            assert time.monotonic() < end, f"The job has not ended: {job}\n" + "\n".join(self.messages()[-12:])
            time.sleep(0.3)
        return job

    def messages(self) -> list[str]:
        """Return the newest events, oldest first."""
        rows = self.get(f"/fine_tuning/jobs/{self.id}/events", limit=100)["data"]
        return [row["message"] for row in reversed(rows)]

    # Processes

    def trainer(self) -> psutil.Process | None:
        """Return the process that trains, if there is one."""
        for process in self.all_processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if "afinador.training.run" in words and str(self.run_dir) in words:
                return process
        return None

    def flow(self) -> psutil.Process | None:
        """Return the flow's process, as the ledger knows it."""
        with sqlite3.connect(f"file:{self.stack.home / 'ledger.db'}?mode=ro", uri=True, timeout=30) as ledger:
            [(process_id,)] = ledger.execute("SELECT process_id FROM jobs WHERE id = ?", (self.id,)).fetchall()
        return _process(process_id)

    def part(self, name: str) -> psutil.Process | None:
        """Return a part of the stack."""
        parts = json.loads((self.stack.home / "stack.json").read_text())["parts"]
        return _process(parts[name]["pid"])

    def all_processes(self) -> list[psutil.Process]:
        """Return every process that works for this home, by its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("AFINADOR_HOME") == str(self.stack.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def start_again(self) -> None:
        """Start the supervisor once more on the same home and ports."""
        before = self.stack
        names = ("AFINADOR_PORT", "AFINADOR_CPU_SLOTS")
        extra = {name: before.environment[name] for name in names if name in before.environment}
        again = start(before.root, before.home, **extra)
        again.lines[:0] = before.lines  # the keys were told at the first start
        self.stack.process, self.stack.lines = again.process, again.lines

    def await_api(self) -> None:
        """Wait until the API answers."""
        self.get("/models")

    # What must be true

    def journal(self) -> list[dict[str, Any]]:
        """Return every measurement as the API tells it, times left out."""
        rows = self.get(f"/fine_tuning/jobs/{self.id}/metrics")["data"]
        return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]

    def weights(self) -> dict[str, str]:
        """Return name and hash of the weights that were published."""
        entry = self.get(f"/hub/adapters/{self.name}")
        files = self.get(f"/hub/adapters/{self.name}/files")["data"]
        assert entry["versions"] == [1], f"published {len(entry['versions'])} times"
        return {file["path"]: file["sha256"] for file in files if file["path"].endswith(".safetensors")}

    def require_untouched(self, expected: Victim) -> None:
        """Hold what it left behind against an undisturbed job: nothing lost, nothing twice, the same bits."""
        job = self.wait(300)
        assert job["status"] == "succeeded", f"{job['error']}\n" + "\n".join(self.messages())
        assert self.weights() == expected.weights()
        mine, theirs = self.journal(), expected.journal()
        assert [row["step"] for row in mine] == [row["step"] for row in theirs]
        assert mine == theirs
        assert _digest(mine) == _digest(theirs)
        steps = [row["step_number"] for row in self.get(f"/fine_tuning/jobs/{self.id}/checkpoints", limit=100)["data"]]
        assert steps == sorted(set(steps), reverse=True)
        published = [message for message in self.all_messages() if message.startswith("Published adapter")]
        assert len(published) == 1, published

    def all_messages(self) -> list[str]:
        """Return all events."""
        messages, after = [], None
        while True:
            page = self.get(f"/fine_tuning/jobs/{self.id}/events", limit=100, **({"after": after} if after else {}))
            messages += [row["message"] for row in page["data"]]
            if not page["has_more"]:
                return messages
            after = page["data"][-1]["id"]


def _process(process_id: int | None) -> psutil.Process | None:
    try:
        return psutil.Process(process_id) if process_id else None
    except psutil.NoSuchProcess:
        return None


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
