"""Commands that show, watch and stop jobs, against a real service."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

Run = Callable[..., Any]
Background = Callable[[Callable[[], None]], None]
FILES = {"adapter_config.json": b"{}", "weights/adapter_model.safetensors": b"w" * 5000}


def test_a_waiting_job_shows_why_and_a_job_the_hyperparameters_that_were_chosen(
    online: Run, service: Any, job: dict[str, Any]
) -> None:
    from registry import jobs

    attempt = service.run_job(job["id"])
    assert "running (training)" in online("get", "job", "mine").out
    with service.memory.database.session() as session:
        assert jobs.requeue(session, job["id"], attempt, "The worker died")
    shown = online("get", "job", "mine").out
    assert "The worker died. The job goes on as attempt 2." in shown and "2/4" not in shown
    assert "2/4" not in online("list", "job").out
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", "orders", "-name", "chosen", "-lora-rank", "16")
    assert ran.code == 0, ran.err
    lines = [line.strip() for line in online("get", "job", "chosen").out.splitlines()]
    assert "lora_rank 16 (request)" in lines and "All others are defaults; --json shows them." in lines
    assert any(line.endswith("epochs 3") for line in lines) and not any("weight_decay" in line for line in lines)


def test_a_job_shows_progress_metrics_and_where_its_result_lies(
    online: Run, service: Any, job: dict[str, Any], tmp_path: Path
) -> None:
    attempt = service.run_job(job["id"])
    running = online("get", "fine-tuning-job", "mine").out
    assert "2/4 (50 %)" in running and "training" in running and "5 s" in running
    assert re.search(r"^last step's train loss +1$", running, re.MULTILINE)
    assert re.search(r"^dataset +orders\.jsonl, version 1$", running, re.MULTILINE) and job["dataset"] not in running
    service.publish(job, FILES)
    service.end_job(job["id"], attempt)
    ended = online("get", "fine-tuning-job", "mine")
    assert "succeeded" in ended.out and "exact match" in ended.out and "0.75" in ended.out
    assert "version 1 of the hub-adapter" in ended.out
    published = online("get", "hub-adapter", job["spec"]["output"]["name"]).out
    assert re.search(r"^dataset +orders\.jsonl, version 1$", published, re.MULTILINE)
    assert "in MLflow" in ended.out and "models:/" in ended.out and "--download" in ended.err
    assert json.loads(online("get", "job", "mine", "--json").out)["metrics"]["tuned"]["exact_match"] == 0.75


def test_cancelling_stops_a_job_and_an_ended_one_stays(online: Run, service: Any, job: dict[str, Any]) -> None:
    attempt = service.run_job(job["id"])
    assert "stops after its current step" in online("cancel", "fine-tuning-job", "mine").out
    service.end_job(job["id"], attempt)
    ran = online("cancel", "fine-tuning-job", "mine")
    assert ran.code == 1 and "succeeded" in ran.err


def test_watching_ends_with_the_comparison(
    online: Run, service: Any, job: dict[str, Any], in_background: Background
) -> None:
    attempt = service.run_job(job["id"])
    in_background(lambda: (time.sleep(0.5), service.end_job(job["id"], attempt))[1])
    ran = online("watch", "mine")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()][:2] == [["METRIC", "BASE", "TUNED"], ["loss", "3.2", "0.4"]]
    assert "training: step 2/4, loss 1.0000, 5 s left" in ran.err
    assert "The job has succeeded." in ran.err and "Step 1" not in ran.err
    assert "afinador get hub-adapter" in ran.err


def test_watching_a_job_that_fails_is_exit_code_1(online: Run, service: Any, job: dict[str, Any]) -> None:
    service.end_job(job["id"], service.run_job(job["id"]), "failed", "No memory left; use a smaller micro_batch_size.")
    ran = online("watch", "mine", "--json")
    assert ran.code == 1 and "smaller micro_batch_size" in ran.err
    assert json.loads(ran.out)["status"] == "failed"
    assert "smaller micro_batch_size" in online("get", "job", "mine").out


def test_create_can_watch(online: Run, service: Any, dataset: Path, in_background: Background) -> None:
    from registry import jobs

    def work() -> None:
        for _ in range(200):
            with service.memory.database.session() as session:
                rows, _ = jobs.list_page(session, service.organization_id, after=None, limit=1)
                found = [row.id for row in rows if row.status == "queued"]
            if found:
                service.end_job(found[0], service.run_job(found[0]))
                return
            time.sleep(0.05)

    in_background(work)
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "--watch")
    assert ran.code == 0 and ran.out.startswith("METRIC")


def test_logs_are_shown_and_followed(online: Run, service: Any, job: dict[str, Any], in_background: Background) -> None:
    log = service.memory.settings.runs_dir / job["id"] / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first\n")
    assert online("logs", "mine").out == "first\n"
    attempt = service.run_job(job["id"])

    def write() -> None:
        time.sleep(0.3)
        log.write_text("first\nsecond\n")
        service.end_job(job["id"], attempt)

    in_background(write)
    assert online("logs", "mine", "--follow").out == "first\nsecond\n"


def test_a_checkpoint_is_shown_and_fetched(online: Any, service: Any, job: dict[str, Any], tmp_path: Path) -> None:
    service.keep_checkpoint(job["id"], 500, {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"})
    assert "adapter_config.json" in online("get", "checkpoint", job["name"], "500").out
    shown = online("get", "checkpoint", job["name"], "500", "--download", str(tmp_path / "step"), "--json")
    assert shown.code == 0 and len(json.loads(shown.out)["data"]) == 2
    assert (tmp_path / "step" / "adapter_model.safetensors").read_bytes() == b"weights"
    missing = online("publish", "checkpoint", job["name"], "7", "-output-model", "early")
    assert missing.code == 3 and "by step: 500" in missing.err
    missing = online("get", "checkpoint", job["name"], "7")
    assert missing.code == 3 and "by step: 500" in missing.err


def test_pausing_and_resuming_say_what_comes_next(online: Run, service: Any, job: dict[str, Any]) -> None:
    assert "afinador resume fine-tuning-job mine" in online("pause", "fine-tuning-job", "mine").out
    shown = online("get", "job", "mine")
    assert "paused before it ran" in shown.out and "afinador resume fine-tuning-job mine" in shown.err
    assert "is queued" in online("resume", "job", "mine").out
    attempt = service.run_job(job["id"])
    assert "is pausing; it stops after its current step" in online("pause", "job", "mine").out
    assert "goes on as soon as it has stopped" in online("resume", "job", "mine").out
    service.end_job(job["id"], attempt)
    ran = online("pause", "job", "mine")
    assert ran.code == 1 and "has succeeded, so it cannot be paused" in ran.err


def test_watching_a_paused_job_says_how_to_resume_it(
    online: Run, service: Any, job: dict[str, Any], in_background: Background
) -> None:
    online("pause", "job", "mine")

    def go_on() -> None:
        time.sleep(0.5)
        headers = {"authorization": f"Bearer {service.key}"}
        httpx.post(f"{service.url}/v1/fine_tuning/jobs/mine/resume", headers=headers).raise_for_status()
        service.end_job(job["id"], service.run_job(job["id"]))

    in_background(go_on)
    ran = online("watch", "mine")
    assert ran.code == 0
    assert ran.err.count("It goes on with: afinador resume fine-tuning-job mine") == 1


def test_the_report_goes_to_a_file_or_to_standard_output(online: Run, job: dict[str, Any], elsewhere: Path) -> None:
    shown = online("report", "mine")
    assert shown.code == 0 and shown.out.startswith("<!doctype html>") and "orders.jsonl" in shown.out
    written = online("report", "mine", "--output", "mine.html")
    assert (written.code, written.out) == (0, "") and "open it in a browser" in written.err
    assert (elsewhere / "mine.html").read_text().startswith("<!doctype html>")
    refused = online("report", "mine", "-o", "no/such/folder.html")
    assert refused.code != 0 and "No such file" in refused.err
