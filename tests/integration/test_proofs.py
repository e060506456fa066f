"""A job's exact resume and its reproduction, proved on the whole stack."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_finished_job_is_verified_and_reproduced(stack: Any, finished_job: Any) -> None:
    with stack.http() as http:
        job = http.get(f"/fine_tuning/jobs/{finished_job.id}").raise_for_status().json()
    verified = stack.command_line("verify", "resume", job["name"], "--steps", "2", "--json")
    assert verified.returncode == 0, verified.stderr
    certificate = json.loads(verified.stdout)
    assert (certificate["equal"], certificate["steps"], certificate["resumed_after"]) == (True, 2, 1)
    assert "training_state/optimizer.safetensors" in certificate["hashes"]

    reproduced = stack.command_line("reproduce", job["name"], "--json")
    assert reproduced.returncode == 0, reproduced.stderr
    certificate = json.loads(reproduced.stdout)
    assert certificate["equal"] and certificate["environment_differences"] == ""
    with stack.http() as http:
        files = http.get(f"/hub/adapters/{job['output_model']}/files").raise_for_status().json()["data"]
        listed = http.get(f"/fine_tuning/jobs/{job['id']}/certificates").raise_for_status().json()["data"]
    [weights] = [file for file in files if file["path"] == "adapter_model.safetensors"]
    assert certificate["found"] == {"adapter_model.safetensors": weights["sha256"]}
    assert [(each["type"], each["status"], each["equal"]) for each in listed] == [
        ("reproduction", "succeeded", True),
        ("resume", "succeeded", True),
    ]
    for each in listed:
        [kept] = list((stack.home / "storage").rglob(f"jobs/{job['id']}/certificates/{each['id']}.json"))
        assert json.loads(kept.read_text()) == each["certificate"]
        assert not (stack.home / "runs" / job["id"] / "proofs" / each["id"]).exists()
        await_completed(stack, each["run_url"])
    messages = stack.messages(job["id"])
    assert "Exact resume is proved over 2 steps, resumed after 1: everything is equal to the bit." in messages
    assert "Reproduction is proved by running the whole job again: everything is equal to the bit." in messages


def await_completed(stack: Any, run_page: str) -> None:
    """Wait until Prefect knows how a run ended."""
    end = time.monotonic() + 30
    url = f"{stack.prefect_url}/flow_runs/{run_page.rsplit('/', 1)[1]}"
    while (state := httpx.get(url).raise_for_status().json()["state"]["name"]) != "Completed":
        assert time.monotonic() < end, state
        time.sleep(0.3)
