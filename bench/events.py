"""How long it takes from a new version of a file to the job that is trained on it.

``python -m bench.events [--repeat 3] [--storm 100]`` starts ``afinador up`` on an empty home, saves a spec that names a file,
uploads new versions of that file one after the other, and at last many at once, which are to make one job. Seconds count
from the answer to the upload; what is asked of the service is asked every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.service import DATA, HYPERPARAMETERS, RunningService

SPEC, FILE = "on-new-version", "daily.jsonl"
UPLOADS_AT_ONCE = 4
QUIET_SECONDS = 15
"""Longer than the trigger waits for further versions: what comes afterwards is an event of its own."""
TIMEOUT_SECONDS = 300
ENDED = ("succeeded", "failed", "cancelled")


def prepare(service: RunningService) -> None:
    """Register the model, upload the file's first version and save a spec that trains on its newest."""
    service.prepare()
    upload(service, 0)
    request = {"base_model": "tiny", "dataset": FILE, "output_model": "daily", "hyperparameters": HYPERPARAMETERS}
    service.http.post("/fine_tuning/job_specs", json={"name": SPEC, "request": request}).raise_for_status()


def upload(service: RunningService, number: int) -> dict[str, Any]:
    """Upload a version of the file, each with another content, and return it."""
    lines = (DATA / "train.jsonl").read_text().splitlines()
    content = "\n".join([*lines[number % len(lines) :], *lines[: number % len(lines)]]) + "\n"
    answer = service.http.post("/files", files={"file": (FILE, content.encode())}, data={"purpose": "fine-tune"})
    return dict(answer.raise_for_status().json())


def jobs_of_spec(service: RunningService) -> list[dict[str, Any]]:
    """Return the jobs that were made of the spec, newest first."""
    page = service.http.get("/fine_tuning/jobs", params={"limit": 100}).raise_for_status().json()
    return [job for job in page["data"] if job["job_spec"] == SPEC]


def until(found: Callable[[], Any]) -> Any:
    """Ask until there is an answer, and return it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not (answer := found()):
        assert time.monotonic() < end, f"nothing came within {TIMEOUT_SECONDS} s"
        time.sleep(0.05)
    return answer


def job_of(service: RunningService, file_id: str) -> dict[str, Any]:
    """Wait for the job on a file."""
    job: dict[str, Any] = until(
        lambda: next((job for job in jobs_of_spec(service) if job["training_file"] == file_id), None)
    )
    return job


def end(service: RunningService, job_id: str) -> None:
    """Cancel a job, unless it has ended by itself meanwhile, and wait until it has ended."""
    place = f"/fine_tuning/jobs/{job_id}"
    answer = service.http.post(f"{place}/cancel")
    assert answer.is_success or service.http.get(place).json()["status"] in ENDED, answer.text
    until(lambda: service.http.get(place).json()["status"] in ENDED)


def measure_one(service: RunningService, number: int) -> dict[str, float]:
    """Upload one version; return the seconds from its answer until its job was there, and until that was running."""
    began = time.monotonic()
    file = upload(service, number)
    answered = time.monotonic()
    job = job_of(service, file["id"])
    created = time.monotonic()
    status = until(
        lambda: (
            (found := service.http.get(f"/fine_tuning/jobs/{job['id']}").json()["status"])
            not in ("validating_files", "queued")
            and found
        )
    )
    running = time.monotonic()
    assert status == "running", status
    end(service, job["id"])
    return {"upload": answered - began, "to_job": created - answered, "to_running": running - answered}


def measure_storm(service: RunningService, versions: int) -> dict[str, Any]:
    """Upload many versions at once, and count the jobs that come of them."""
    before = len(jobs_of_spec(service))
    began = time.monotonic()
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        files = list(pool.map(lambda number: upload(service, number), range(1_000, 1_000 + versions)))
    answered = time.monotonic()
    job = job_of(service, max(files, key=lambda file: int(file["version"]))["id"])
    created = time.monotonic()
    time.sleep(QUIET_SECONDS)
    made = len(jobs_of_spec(service)) - before
    end(service, job["id"])
    return {
        "versions": versions,
        "upload_seconds": round(answered - began, 2),
        "jobs": made,
        "last_upload_to_job_seconds": round(created - answered, 2),
    }


def measure(repeat: int, storm: int) -> dict[str, Any]:
    """Measure single versions ``repeat`` times, then the storm."""
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder) / "home")
        try:
            prepare(service)
            singles = []
            for number in range(1, repeat + 1):
                time.sleep(QUIET_SECONDS)
                singles.append(measure_one(service, number))
            time.sleep(QUIET_SECONDS)
            stormy = measure_storm(service, storm)
        finally:
            service.stop()
    figures: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 1)}
    for name in ("upload", "to_job", "to_running"):
        values = [single[name] for single in singles]
        figures[f"{name}_seconds"] = [round(value, 2) for value in values]
        figures[f"{name}_median"] = round(statistics.median(values), 2)
    return figures | {"storm": stormy}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="versions that come one at a time")
    parser.add_argument("--storm", type=int, default=100, help="versions that come at once")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.repeat, arguments.storm), indent=2))
