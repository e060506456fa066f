"""A whole stack for tests: the real supervisor with all its parts, on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil

SLOTS = 2
"""So many jobs run at once."""
READY_TIMEOUT_SECONDS = 240
JOB_TIMEOUT_SECONDS = 240
LOG_TIMEOUT_SECONDS = 60


@dataclass
class Stack:
    """A running service and its first organisation's key."""

    root: Path
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    extra: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def record_path(self) -> Path:
        return self.home / "stack.json"

    @property
    def record(self) -> dict[str, Any]:
        """What the supervisor records of its parts."""
        return dict(json.loads(self.record_path.read_text()))

    @property
    def urls(self) -> dict[str, str]:
        """Where the supervisor says its parts are."""
        return dict(self.record["urls"])

    def processes(self) -> list[psutil.Process]:
        """All living processes that work for this home, wherever they are in the tree."""
        found = []
        for process in psutil.process_iter():
            try:
                at_home = process.environ().get("AFINADOR_HOME") == str(self.home)
                if at_home and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @property
    def base_url(self) -> str:
        return self.urls["api"]

    @property
    def prefect_url(self) -> str:
        return f"{self.urls['prefect']}/api"

    @property
    def key(self) -> str:
        return self._printed("AFINADOR_API_KEY")

    @property
    def operator_key(self) -> str:
        return self._printed("AFINADOR_OPERATOR_KEY")

    def _printed(self, name: str) -> str:
        found = re.search(rf"{name}=(\S+)", "\n".join(self.lines))
        assert found, "\n".join(self.lines)
        return found[1].strip("'\"")

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self.base_url}/v1", headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key=self.key, max_retries=0)

    def command_line(self, *words: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = self.environment | {"AFINADOR_BASE_URL": self.base_url, "AFINADOR_API_KEY": key or self.key}
        program = Path(sys.executable).with_name("afinador")
        return subprocess.run(
            [program, *words], cwd=self.root, env=environment, capture_output=True, text=True, timeout=300
        )

    def wait(self, job_id: str, *, until: tuple[str, ...] = ("succeeded", "failed", "cancelled")) -> dict:
        end = time.monotonic() + JOB_TIMEOUT_SECONDS
        with self.http() as http:
            while True:
                job = http.get(f"/fine_tuning/jobs/{job_id}").raise_for_status().json()
                if job["status"] in until:
                    return job
                assert job["status"] not in ("succeeded", "failed", "cancelled"), job["error"]
                assert time.monotonic() < end, f"{job['status']} {job['progress']}"
                time.sleep(0.3)

    def messages(self, job_id: str) -> list[str]:
        with self.http() as http:
            rows = http.get(f"/fine_tuning/jobs/{job_id}/events", params={"limit": 100}).raise_for_status().json()
        return [row["message"] for row in reversed(rows["data"])]

    def log_of_run(self, run_id: str, *, until: str) -> list[tuple[int, str]]:
        """Levels and messages that Prefect shows of a run, once a message is among them; they arrive in batches."""
        end = time.monotonic() + LOG_TIMEOUT_SECONDS
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        while True:
            answer = httpx.post(f"{self.prefect_url}/logs/filter", json=body, timeout=30)
            rows = [(row["level"], row["message"]) for row in answer.json()] if answer.is_success else []
            if any(until in message for _, message in rows):
                return rows
            assert time.monotonic() < end, rows
            time.sleep(0.3)


def threads_of_a_job() -> str:
    """Return how many threads a job computes with: its share of the processors, unless somebody has set it."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, len(os.sched_getaffinity(0)) // SLOTS))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(root: Path, home: Path, **extra: str) -> Stack:
    """Start ``afinador up`` on a home and wait until it says that it is ready."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AFINADOR_", "PREFECT_", "MLFLOW_"))
    }
    environment |= {
        "AFINADOR_HOME": str(home),
        "AFINADOR_PORT": str(free_port()),
        "AFINADOR_MODEL_ROOTS": f"{root / 'examples'}:{home / 'roots'}",
        "PYTHONUNBUFFERED": "1",
    } | extra
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments", "up", "--prefect-port", "0", "--mlflow-port", "0"],
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    stack = Stack(root, home, environment, process, extra)
    printed = process.stdout
    assert printed is not None
    threading.Thread(target=lambda: stack.lines.extend(line.rstrip() for line in printed), daemon=True).start()
    end = time.monotonic() + READY_TIMEOUT_SECONDS
    while not any("Ready for jobs" in line for line in stack.lines):
        assert process.poll() is None and time.monotonic() < end, "\n".join(stack.lines)
        time.sleep(0.1)
    return stack


def start_again(stack: Stack) -> list[str]:
    """Start the supervisor once more on the same home and ports, and return what it has printed."""
    again = start(stack.root, stack.home, **{**stack.extra, "AFINADOR_PORT": stack.environment["AFINADOR_PORT"]})
    printed = list(again.lines)
    again.lines[:0] = stack.lines  # the keys were told at the first start
    stack.process, stack.lines = again.process, again.lines
    return printed


def stop(stack: Stack) -> None:
    """Stop a stack as Ctrl-C does, and see that nobody is left behind."""
    was_running = stack.process.poll() is None
    if was_running:
        stack.process.send_signal(signal.SIGINT)
    stack.process.wait(90)
    if was_running:
        left = [process.cmdline() for process in stack.processes()]
        assert (stack.process.returncode, left) == (0, []), stack.lines[-20:]
        assert not stack.record_path.exists()


def register_tiny(stack: Stack) -> None:
    """Register the examples' base model under the name ``tiny``."""
    with stack.http() as http:
        body = {"name": "tiny", "source": str(stack.root / "examples" / "base_model" / "model")}
        http.post("/models", json=body).raise_for_status()
        end = time.monotonic() + 60
        while (model := http.get("/models/tiny").raise_for_status().json())["status"] != "ready":
            assert time.monotonic() < end and model["status"] != "error", model
            time.sleep(0.1)
