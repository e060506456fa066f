"""Two organisations and more jobs than slots, of several methods. ``crowd.py`` does it with as many as you like."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.faults.crowd import run
from tests.faults.run import upload
from tests.integration import questions
from tests.integration.stack import SLOTS, Stack, threads_of_a_job

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

JOBS = 4
QLORA = {
    "name": "spec-body", "output_model": "twin-a", "validation_dataset": "faults-validation.jsonl",
    "tuning_method": "qlora", "config": {"quantization_bits": 4},
}  # fmt: skip
CLASSES = {
    "name": "classes", "output_model": "twin-c", "base_model": "bert-base-uncased", "dataset": "qa_data",
    "validation_dataset": "qa_data", "config": {"eval_steps": 2},
}  # fmt: skip
FULL = {"output_model": "twin-b", "tuning_method": "full"}


def test_jobs_of_two_organizations_share_two_slots_and_all_succeed(stack: Stack) -> None:
    upload(stack)
    questions.prepare(stack)
    seen = run(stack, JOBS, SLOTS, [QLORA, FULL, CLASSES])
    assert seen.most_trainers == SLOTS
    results = [stack.home / "runs" / job_id / "result.json" for job_id in seen.started]
    threads = {json.loads(result.read_text())["environment"]["threads"] for result in results}
    assert len(results) == JOBS and threads == {int(threads_of_a_job())}
    _require_what_was_asked_for(stack, seen.started)
    _require_figures_of_classes(stack)


def _require_what_was_asked_for(stack: Stack, ids: list[str]) -> None:
    """A quantised adapter and a whole model, under the names that they were given."""
    with stack.http() as http:
        again = http.post("/fine_tuning/jobs", json={"base_model": "tiny", "dataset": "crowd", "name": "spec-body"})
        assert again.status_code == 400 and again.json()["error"]["code"] == "name_taken"
        model = http.get("/hub/models/twin-b").raise_for_status().json()
        adapter = http.get("/hub/adapters/twin-a").raise_for_status().json()
    assert (adapter["kind"], adapter["tuning_method"]) == ("adapter", "qlora")
    assert model["kind"] == "model" and "model.safetensors" in {file["path"] for file in model["files"]}
    with httpx.Client(base_url=stack.base_url, headers={"X-API-Key": stack.key}) as http:
        job = http.get("/fine_tuning/jobs/spec-body").raise_for_status().json()
    assert (job["name"], job["base_model"]) == ("spec-body", "tiny") and job["id"] in ids
    assert any("4-bit nf4 with double quantisation" in message for message in stack.messages(job["id"]))


def _require_figures_of_classes(stack: Stack) -> None:
    """A classifier's figures are the same in metrics, checkpoints, the job, and on the command line."""
    with stack.http() as http:
        job = http.get("/fine_tuning/jobs/classes").raise_for_status().json()
        rows = http.get("/fine_tuning/jobs/classes/metrics").json()["data"]
        checkpoints = http.get("/fine_tuning/jobs/classes/checkpoints").json()["data"]
    valid = [row for row in rows if "valid_loss" in row]
    assert valid and all({"accuracy", "macro_f1"} <= row.keys() for row in valid)
    assert checkpoints[0]["metrics"]["accuracy"] == valid[-1]["accuracy"] == job["metrics"]["tuned"]["accuracy"]
    assert job["metrics"]["base"]["head"] == "untrained"
    shown = stack.command_line("get", "fine-tuning-job", job["id"])
    assert "BASE (UNTRAINED HEAD)" in shown.stdout and "macro f1" in shown.stdout
