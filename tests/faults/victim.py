"""A job on a real stack, its processes, and what must be true of it in the end."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.integration.stack import Stack

TIMES = {"timestamp_ms", "tokens_per_second", "created_at"}
CURVES = ("train_loss", "learning_rate", "valid_loss")
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
        self.before: list[tuple[str, int]] = []
        """Cancelled jobs that this one goes on from, and the step after which the next one did."""

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

    def set_run_state(self, type: str, name: str) -> bool:
        """Set the state of the run as Prefect's page of it does; False when Prefect refuses or there is no run yet."""
        run_id = (self.job()["run_url"] or "").rpartition("/")[2]
        if not run_id:
            return False
        end = time.monotonic() + 60
        while True:
            try:
                answer = httpx.post(
                    f"{self.stack.prefect_url}/flow_runs/{run_id}/set_state",
                    json={"state": {"type": type, "name": name}},
                    timeout=60,
                )
                if answer.status_code < 500:  # else its SQLite was busy
                    return bool(answer.raise_for_status().json()["status"] == "ACCEPT")
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            assert time.monotonic() < end, f"Prefect does not take {name}"
            time.sleep(0.3)

    def go_on_as_another_job(self) -> None:
        """Create a job that goes on from the newest checkpoint of this one, which was cancelled, and follow that one."""
        (newest,) = self.get(f"/fine_tuning/jobs/{self.id}/checkpoints", limit=1)["data"]
        whole = {"from_checkpoint": newest["id"], "from_checkpoint_state": "whole"}
        with self.stack.http() as http:
            answer = http.post("/fine_tuning/jobs", json={"output_model": self.name, **whole})
        assert answer.status_code == 200, answer.text
        self.before.append((self.id, newest["step_number"]))
        self.id = answer.json()["id"]

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
        for process in self.stack.processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if "afinador.training.run" in words and str(self.run_dir) in words:
                return process
        return None

    def flow(self) -> psutil.Process | None:
        """Return the flow's process, as the ledger knows it."""
        [(process_id,)] = self._ask("ledger", "SELECT process_id FROM jobs WHERE id = ?", self.id)
        return _process(process_id)

    def part(self, name: str) -> psutil.Process | None:
        """Return a part of the stack."""
        parts = json.loads((self.stack.home / "stack.json").read_text())["parts"]
        return _process(parts[name]["pid"])

    def await_api(self) -> None:
        """Wait until the API answers."""
        self.get("/models")

    # What must be true

    def journal(self) -> list[dict[str, Any]]:
        """Return every measurement as the API tells it, times left out; first those of the jobs that it goes on from."""
        rows = []
        for job_id, until in self.before:
            measured = self.get(f"/fine_tuning/jobs/{job_id}/metrics")["data"]
            rows += [row for row in measured if row["step"] <= until]
        rows += self.get(f"/fine_tuning/jobs/{self.id}/metrics")["data"]
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
        self._require_curves_in_mlflow()
        for job_id in (self.id, *(job_id for job_id, _ in self.before)):
            self._require_whole_records(job_id)

    def _require_curves_in_mlflow(self) -> None:
        """MLflow has what the API tells, each step once."""
        [(run_id,)] = self._ask("ledger", "SELECT mlflow_run_id FROM jobs WHERE id = ?", self.id)
        rows = self.get(f"/fine_tuning/jobs/{self.id}/metrics")["data"]
        for curve in CURVES:
            question = "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step"
            told = [(row["step"], row[curve]) for row in rows if curve in row]
            assert told or self.before, "a job that goes on from the last checkpoint alone trains nothing"
            assert self._ask("mlflow", question, run_id, curve) == told, curve

    def _require_whole_records(self, job_id: str) -> None:
        """Events are numbered without gaps, and what the checkpoints list is there, byte for byte."""
        rows = self._ask("ledger", "SELECT sequence FROM events WHERE job_id = ? ORDER BY sequence", job_id)
        assert [sequence for (sequence,) in rows] == list(range(1, len(rows) + 1))
        place = f"/fine_tuning/jobs/{job_id}/checkpoints"
        for checkpoint in self.get(place, limit=100)["data"]:
            files = self.get(f"{place}/{checkpoint['id']}/files")["data"]
            assert files, checkpoint
            for file in files:
                with self.stack.http() as http:
                    content = http.get(f"{place}/{checkpoint['id']}/files/{file['path']}").raise_for_status().content
                assert hashlib.sha256(content).hexdigest() == file["sha256"], (checkpoint, file)

    def all_messages(self) -> list[str]:
        """Return all events."""
        messages, after = [], None
        while True:
            page = self.get(f"/fine_tuning/jobs/{self.id}/events", limit=100, **({"after": after} if after else {}))
            messages += [row["message"] for row in page["data"]]
            if not page["has_more"]:
                return messages
            after = page["data"][-1]["id"]

    def _ask(self, database: str, question: str, *values: str) -> list[Any]:
        place = f"file:{self.stack.home / database}.db?mode=ro"
        with closing(sqlite3.connect(place, uri=True, timeout=30)) as connection:
            return connection.execute(question, values).fetchall()


def _process(process_id: int | None) -> psutil.Process | None:
    try:
        return psutil.Process(process_id) if process_id else None
    except psutil.NoSuchProcess:
        return None


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
