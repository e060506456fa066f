"""Document 3's flow with the unmodified ``openai`` client, and everything that a job leaves behind."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def job(finished_job: Any) -> Any:
    return finished_job


def test_job_carries_its_result(job: Any) -> None:
    assert job.fine_tuned_model.startswith("ft:tiny:default:orders:")
    assert job.error is None and job.trained_tokens > 0 and job.finished_at >= job.created_at
    assert job.hyperparameters.n_epochs == 2 and job.hyperparameters.batch_size == 8
    assert job.method.supervised.hyperparameters.n_epochs == 2
    assert job.seed == 7 and job.object == "fine_tuning.job"


def test_tuned_model_is_better_than_its_base(job: Any) -> None:
    metrics = job.model_extra["metrics"]
    assert metrics["tuned"]["loss"] < metrics["base"]["loss"]
    assert metrics["tuned"]["perplexity"] < metrics["base"]["perplexity"]


def test_events_tell_the_story_in_order(stack: Any, job: Any) -> None:
    client = stack.openai()
    newest_first = list(client.fine_tuning.jobs.list_events(job.id, limit=20))
    messages = [event.message for event in reversed(newest_first)]
    assert messages[0].startswith("Created fine-tuning job")
    assert messages[-1].startswith("Published adapter tiny-orders")
    steps = [event.data["step"] for event in newest_first if event.type == "metrics" and "train_loss" in event.data]
    assert steps == list(range(12, 0, -1))


def test_checkpoints_are_listed_with_the_last_step(stack: Any, job: Any) -> None:
    checkpoints = list(stack.openai().fine_tuning.jobs.checkpoints.list(job.id))
    assert [checkpoint.step_number for checkpoint in checkpoints] == [12, 10]  # save_total_limit is 2
    assert checkpoints[0].fine_tuned_model_checkpoint.endswith(":ckpt-step-12")
    assert checkpoints[0].metrics.step == 12
    stored = list((stack.home / "storage").glob(f"*/jobs/{job.id}/checkpoints/step-000010/manifest.json"))
    assert len(stored) == 1


def test_result_file_holds_the_curve(stack: Any, job: Any) -> None:
    text = stack.openai().files.content(job.result_files[0]).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert all(float(row["train_loss"]) > 0 for row in rows)


def test_model_is_listed_and_retrieved(stack: Any, job: Any) -> None:
    client = stack.openai()
    assert job.fine_tuned_model in [model.id for model in client.models.list()]
    assert client.models.retrieve(job.fine_tuned_model).owned_by == job.organization_id


def test_downloaded_adapter_generates_with_peft(stack: Any, job: Any, tmp_path: Path) -> None:
    with stack.http() as http:
        entry = http.get("/hub/adapters/tiny-orders").raise_for_status().json()
        for file in entry["files"]:
            target = tmp_path / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(http.get(f"/hub/adapters/tiny-orders/files/{file['path']}").raise_for_status().content)
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "tokenizer.json"} <= {
        file["path"] for file in entry["files"]
    }
    assert not [
        file for file in entry["files"] if not file["path"].endswith((".json", ".safetensors", ".md", "MLmodel"))
    ]
    base = AutoModelForCausalLM.from_pretrained(stack.root / "examples" / "base_model" / "model")
    model, tokenizer = PeftModel.from_pretrained(base, tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("Human: hello\nAssistant:", return_tensors="pt").input_ids
    assert model.generate(input_ids=ids, max_new_tokens=4, do_sample=False).shape[1] > ids.shape[1]


def test_mlflow_loads_the_champion(stack: Any, job: Any) -> None:
    script = """
import mlflow
mlflow.set_workspace("default")
mlflow.set_registry_uri(mlflow.get_tracking_uri())
answer = mlflow.transformers.load_model("models:/tiny-orders@champion")
client = mlflow.MlflowClient()
run_id = client.get_model_version_by_alias("tiny-orders", "champion").run_id
print(sorted(artifact.path for artifact in client.list_artifacts(run_id)))
print(type(answer).__name__, len(answer("Human: hello", max_new_tokens=3)[0]["generated_text"]) > 0)
"""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{stack.home / 'mlflow.db'}",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, env=environment
    )
    assert answer.stdout.strip().endswith("True"), answer.stderr[-3000:]
    assert "'dataset.html'" in answer.stdout and "'report.html'" in answer.stdout


def test_prefect_tells_the_story(stack: Any, job: Any) -> None:
    prefect = httpx.Client(base_url=stack.prefect_url, timeout=30)
    run_id = job.model_extra["run_url"].rsplit("/", 1)[1]
    run = prefect.get(f"/flow_runs/{run_id}").raise_for_status().json()
    assert run["state"]["type"] == "COMPLETED" and "Published adapter" in run["state"]["message"]
    assert {"organization:default", "base:tiny", "method:lora"} <= set(run["tags"])
    names = {
        row["name"]
        for row in prefect.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}})
        .raise_for_status()
        .json()
    }
    assert names == {
        "validate dataset",
        "load model",
        "train",
        "evaluate",
        "publish to hub",
        "save checkpoint 5",
        "save checkpoint 10",
        "save checkpoint 12",
    }
    shown = {
        row["key"].removesuffix(f"-{job.id[-8:]}"): row["data"]
        for row in prefect.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run_id]}}})
        .raise_for_status()
        .json()
    }
    assert {"data", "dataset", "progress", "losses", "evaluation", "mlflow", "report", "hub"} <= shown.keys()
    page = f"{stack.urls['mlflow']}/?workspace=default#/models/tiny-orders/versions/1?workspace=default"
    assert f"({page})" in shown["hub"]
    assert not any(stack.base_url in str(data) for data in shown.values()), "a browser has no key"


def test_errors_are_those_of_the_client(stack: Any) -> None:
    client = stack.openai()
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-nothing")
    with pytest.raises(openai.NotFoundError, match="tiny"):
        client.fine_tuning.jobs.create(model="tinny", training_file="train.jsonl")
    with pytest.raises(openai.BadRequestError, match="1 to 10"):
        client.fine_tuning.jobs.create(model="tiny", training_file="train.jsonl", hyperparameters={"n_epochs": 99})
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key="af-wrong", max_retries=0).models.list()
