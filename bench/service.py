"""What the service costs beside the training itself: start-up, memory, waiting, overhead of a job.

``python -m bench.service [--repeat 5]`` starts ``afinador up`` on an empty home and again on the same one, measures how
long both take to be ready and what all processes weigh, submits jobs one after the other, and runs the same
specification with ``afinador train``. All in one run, on one machine: quote the ratios and differences, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "examples" / "base_model" / "model"
DATA = ROOT / "examples" / "data"
HYPERPARAMETERS = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3}


class RunningService:
    """``afinador up`` on a home, until ``stop``."""

    def __init__(self, home: Path, key: str | None = None) -> None:
        environment = os.environ | {"AFINADOR_HOME": str(home), "AFINADOR_MODEL_ROOTS": str(ROOT / "examples")}
        command = [
            sys.executable,
            "-m",
            "deployments",
            "up",
            "--port",
            "0",
            "--prefect-port",
            "0",
            "--mlflow-port",
            "0",
        ]
        started_at = time.monotonic()
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready_seconds = 0.0
        self.key = key or ""
        for line in self.process.stdout:
            if "Ready for jobs" in line:
                self.ready_seconds = time.monotonic() - started_at
            if found := re.search(r"AFINADOR_API_KEY=(\S+)", line):
                self.key = found[1]
            if "AFINADOR_BASE_URL" in line:
                break
        urls = json.loads((home / "stack.json").read_text())["urls"]
        headers = {"Authorization": f"Bearer {self.key}"}
        self.http = httpx.Client(base_url=f"{urls['api']}/v1", headers=headers, timeout=60)

    def memory_megabytes(self) -> float:
        """Return the proportional set size of the supervisor and everything below it."""
        everyone = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return sum(process.memory_full_info().pss for process in everyone) / 1e6

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=90)

    def prepare(self) -> None:
        """Register the model and upload the data."""
        self.http.post("/models", json={"name": "tiny", "source": str(MODEL)}).raise_for_status()
        for name in ("train.jsonl", "validation.jsonl"):
            files = {"file": (name, (DATA / name).read_bytes())}
            self.http.post("/files", files=files, data={"purpose": "fine-tune"}).raise_for_status()
        while self.http.get("/models/tiny").json()["status"] != "ready":
            time.sleep(0.1)

    def run_job(self) -> tuple[float, float]:
        """Run one job; returns the seconds from submission to the flow's first line, and to the end."""
        body = {
            "model": "tiny",
            "training_file": "train.jsonl",
            "validation_file": "validation.jsonl",
            "seed": 1,
            "hyperparameters": HYPERPARAMETERS,
        }
        submitted_at = time.time()
        job = self.http.post("/fine_tuning/jobs", json=body).raise_for_status().json()["id"]
        first_line_at = None
        while True:
            found = self.http.get(f"/fine_tuning/jobs/{job}").raise_for_status().json()
            if first_line_at is None and found["status"] not in ("validating_files", "queued"):
                first_line_at = time.time()
            if found["status"] in ("succeeded", "failed", "cancelled"):
                assert found["status"] == "succeeded", found["error"]
                return (first_line_at or time.time()) - submitted_at, time.time() - submitted_at
            time.sleep(0.05)


def train_alone(folder: Path) -> float:
    """Run the same specification with ``afinador train`` and return its seconds."""
    path = folder / "job.yaml"
    request = {
        "base_model": str(MODEL),
        "dataset": str(DATA / "train.jsonl"),
        "seed": 1,
        "validation_dataset": str(DATA / "validation.jsonl"),
        "hyperparameters": HYPERPARAMETERS,
    }
    path.write_text(yaml.safe_dump(request))
    started_at = time.monotonic()
    program = Path(sys.executable).with_name("afinador")
    output = folder / f"run-{started_at}"
    subprocess.run([program, "train", str(path), "--output", str(output)], check=True, capture_output=True)
    return time.monotonic() - started_at


def measure(repeat: int) -> dict[str, Any]:
    """Measure everything once, jobs and trainings in turn ``repeat`` times."""
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        service = RunningService(folder / "home")
        empty_ready, key = service.ready_seconds, service.key
        service.stop()
        service = RunningService(folder / "home", key)
        try:
            service.prepare()
            time.sleep(15)  # until MLflow's pages are up too
            memory = service.memory_megabytes()
            waits, jobs, alone = [], [], []
            for _ in range(repeat):
                wait, total = service.run_job()
                waits.append(wait)
                jobs.append(total)
                alone.append(train_alone(folder))
        finally:
            service.stop()
    return {
        "ready_seconds_empty_home": round(empty_ready, 1),
        "ready_seconds_warm": round(service.ready_seconds, 1),
        "memory_megabytes_idle": round(memory),
        "submit_to_first_line_seconds": [round(value, 2) for value in waits],
        "submit_to_first_line_median": round(statistics.median(waits), 2),
        "job_seconds": [round(value, 2) for value in jobs],
        "train_alone_seconds": [round(value, 2) for value in alone],
        "job_seconds_median": round(statistics.median(jobs), 2),
        "train_alone_seconds_median": round(statistics.median(alone), 2),
        "overhead_seconds_median": round(statistics.median(job - one for job, one in zip(jobs, alone, strict=True)), 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="jobs, and trainings without the service")
    print(json.dumps(measure(parser.parse_args().repeat), indent=2))
