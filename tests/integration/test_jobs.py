"""Jobs through the command line, failing ones, and what is said of wrong requests."""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

QUICK = {"epochs": 1, "batch_size": 16, "learning_rate": 5e-4}


@pytest.fixture(scope="module")
def uploaded(stack: Any, quick: tuple[Path, Path]) -> None:
    """The small training file, under a name of this module's own."""
    with stack.http() as http:
        file = ("lines.jsonl", quick[0].read_bytes())
        http.post("/files", files={"file": file}, data={"purpose": "fine-tune"}).raise_for_status()


def create(stack: Any, **fields: Any) -> dict[str, Any]:
    body = {"base_model": "tiny", "dataset": "lines", "hyperparameters": QUICK} | fields
    with stack.http() as http:
        answer = http.post("/fine_tuning/jobs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_command_line_runs_a_job_from_a_path_to_a_folder(stack: Any, quick: tuple[Path, Path], tmp_path: Path) -> None:
    advanced = tmp_path / "advanced.yaml"
    advanced.write_text("weight_decay: 0.01\n")
    made = stack.command_line(
        "create",
        "fine-tune-job",
        "-basemodel",
        "house-model",
        "-dataset",
        str(quick[0]),
        "-validation-dataset",
        str(quick[1]),
        "-output-model",
        "from-shell",
        "-epochs",
        "1",
        "-lora-rank",
        "8",
        "-config",
        str(advanced),
        "--set",
        "batch_size=16",
        "--watch",
    )
    assert made.returncode == 0, made.stderr
    assert "perplexity" in made.stdout + made.stderr
    listed = stack.command_line("list", "fine-tune-job", "--json")
    job = next(job for job in json.loads(listed.stdout)["data"] if job["output_model"] == "from-shell")
    assert job["hyperparameters"]["lora_rank"] == 8 and job["status"] == "succeeded"
    shown = stack.command_line("get", "fine-tuning-job", job["name"])
    assert shown.returncode == 0 and "succeeded" in shown.stdout
    _require_sources(stack, job["id"])
    fetched = stack.command_line("get", "hub-adapter", "from-shell", "--download", str(tmp_path / "out"))
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size > 0
    assert "from-shell" in stack.command_line("list", "hub-adapter").stdout
    assert stack.command_line("get", "fine-tuning-job", "nothing").returncode == 3
    assert "Step" in stack.command_line("list", "event", job["id"]).stdout
    assert stack.command_line("logs", job["id"]).stdout.strip()
    assert stack.command_line("delete", "hub-adapter", "from-shell").returncode == 0
    assert stack.command_line("get", "hub-adapter", "from-shell").returncode == 3


def _require_sources(stack: Any, job_id: str) -> None:
    """The job says which model the operator's alias is, each value, and where it came from."""
    told = json.loads(stack.command_line("get", "fine-tuning-job", job_id, "--json").stdout)
    assert told["base_model"] == "tiny"
    wanted = {
        "lora_rank": (8, "request"),
        "batch_size": (16, "request"),
        "weight_decay": (0.01, "file"),
        "generation_max_new_tokens": (24, "operator"),
        "lora_alpha": (32, "default"),
    }
    spec = told["spec"]
    assert {key: (spec["hyperparameters"][key], spec["sources"][key]) for key in wanted} == wanted


def test_failing_job_says_why_everywhere_and_publishes_nothing(stack: Any, uploaded: None, root: Path) -> None:
    folder = stack.home / "roots" / "breaks"
    shutil.copytree(root / "examples" / "base_model" / "model", folder)
    with stack.http() as http:
        http.post("/models", json={"name": "breaks", "source": str(folder)}).raise_for_status()
        while http.get("/models/breaks").json()["status"] != "ready":
            time.sleep(0.1)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    job = stack.wait(create(stack, base_model="breaks", output_model="never")["id"])
    assert job["status"] == "failed" and job["fine_tuned_model"] is None
    assert job["error"]["code"] and "Traceback" not in job["error"]["message"]
    assert "'breaks'" in job["error"]["message"] and str(folder) not in job["error"]["message"]
    assert job["error"]["message"] in stack.messages(job["id"])[-1]
    with stack.http() as http:
        assert http.get("/hub/adapters/never").status_code == 404
    flow_run = f"{stack.prefect_url}/flow_runs/{job['run_url'].rsplit('/', 1)[1]}"
    end = time.monotonic() + 60
    while (run := httpx.get(flow_run).raise_for_status().json())["state"]["type"] == "RUNNING":
        assert time.monotonic() < end, "the run ends soon after its job"
        time.sleep(0.3)
    assert run["state"]["type"] == "FAILED" and run["state"]["message"] == job["error"]["message"]
    log = stack.log_of_run(run["id"], until="Finished in state Failed(")
    assert any(level == logging.ERROR and job["error"]["message"] == message for level, message in log)
    assert not any("Traceback" in message for _, message in log), log


def test_wrong_requests_are_sentences_on_the_command_line(stack: Any, uploaded: None, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "a"}\n{"text": "b"}\n')
    cases = {
        ("-basemodel", "tinny", "-dataset", "lines"): "tiny",
        ("-basemodel", "tiny", "-dataset", "lines", "-epochs", "11"): "1 to 10",
        ("-basemodel", "tiny", "-dataset", str(tmp_path / "nothing.csv")): "nothing.csv",
        ("-basemodel", "tiny", "-dataset", "lines", "--set", "lora_rnk=4"): "lora_rank",
        ("-basemodel", "tiny", "-dataset", "lines", "--set", "generation_max_new_tokens=65"): "from 1 to 64",
    }
    for words, expected in cases.items():
        answer = stack.command_line("create", "fine-tune-job", *words)
        assert answer.returncode in (1, 2, 3) and expected in answer.stderr, (words, answer.stderr)
        assert "Traceback" not in answer.stderr and answer.stdout == ""
    watched = stack.command_line(
        "create", "fine-tune-job", "-basemodel", "tiny", "-dataset", str(tmp_path / "bad.jsonl"), "--watch"
    )
    assert watched.returncode == 1
    assert "ine 2" in watched.stderr + watched.stdout and "label" in watched.stderr + watched.stdout


def test_a_folder_of_ones_own_is_uploaded_and_ready(stack: Any, root: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(root / "examples" / "base_model" / "model", tmp_path / "mine")
    made = stack.command_line("create", "base-model", "my-own", "--source", str(folder), "--json")
    assert made.returncode == 0, made.stderr
    model = json.loads(made.stdout)
    assert (model["status"], model["source"]) == ("ready", "upload")
    with stack.http() as http:
        assert http.get("/models/tiny").json()["sha256"] == model["sha256"], "the same bytes, whichever way they came"
