"""Checkpoints of jobs in any state, published to the hub by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from afinador import Afinador
from afinador.errors import NameTakenError, NotFoundError
from registry import jobs
from registry.job_life import checkpoints
from registry.publishing import hub_publishing

Keep = Callable[..., dict[str, bytes]]


@pytest.fixture
def job(running: Any, member: Any, public_base_model: str) -> dict[str, Any]:
    """A job that runs."""
    file = member.upload()["id"]
    body = {"model": public_base_model, "training_file": file, "output_model": "orders", "name": "run"}
    made = member.http.post("/v1/fine_tuning/jobs", json=body).json()
    with running.memory.database.session() as session:
        assert jobs.claim(session, made["id"], flow_run_id="r", process_id=1, process_started_at=1.0, host="here")
    return made


@pytest.fixture
def keep(running: Any, member: Any, job: dict[str, Any]) -> Keep:
    """Puts a checkpoint into storage and ledger, as a running job does."""

    def go(step: int, **files: bytes) -> dict[str, bytes]:
        content = {
            "adapter_config.json": b"{}",
            "adapter_model.safetensors": f"weights of {step}".encode(),
            "tokenizer.json": b"{}",
            "README.md": b"# A checkpoint",
            "afinador.json": b"{}",
            "trainer_state.json": b"{}",
            "training_state/weights.safetensors": b"in the form of training",
            **files,
        }
        key = f"{member.organization['id']}/jobs/{job['id']}/checkpoints/step-{step:06d}"
        stated = {name: {"bytes": len(it), "sha256": hashlib.sha256(it).hexdigest()} for name, it in content.items()}
        for name, it in (content | {"manifest.json": json.dumps({"files": stated}).encode()}).items():
            path = running.memory.storage.local_path(f"{key}/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(it)
        with running.memory.database.session() as session:
            row = jobs.get(session, member.organization["id"], job["id"])
            checkpoints.register(session, row, step, key, {"train_loss": 2.0, "valid_loss": 1.5}, 10)
        return content

    return go


@pytest.fixture
def client(running: Any, member: Any) -> Any:
    with Afinador(base_url=running.url, api_key=member.key) as made:
        yield made


def test_a_running_job_s_checkpoint_is_published_once(
    running: Any, member: Any, job: dict[str, Any], keep: Keep, client: Any
) -> None:
    content = keep(2)
    entry = client.jobs.publish_checkpoint("run", 2, "orders-early")
    assert (entry.name, entry.version, entry.kind, entry.job_id) == ("orders-early", 1, "adapter", job["id"])
    assert (entry.checkpoint_step, entry.metrics) == (2, {"tuned": {"loss": 1.5}})
    assert entry.id == client.jobs.checkpoints("run").first(1)[0].fine_tuned_model_checkpoint
    published = {name for name in content if not name.startswith("train")}
    assert {file.path for file in entry.files} == published | {"MLmodel", "components/tokenizer/tokenizer.json"}
    weights = member.http.get("/v1/hub/adapters/orders-early/files/adapter_model.safetensors").content
    assert weights == b"weights of 2"
    with running.service.experiments.get().workspace(member.organization["name"]) as mlflow:
        champion = mlflow.get_model_version_by_alias("orders-early", "champion")
    assert (champion.tags["job"], champion.tags["checkpoint_step"]) == (job["id"], "2")
    assert client.jobs.publish_checkpoint(job["id"], 2, "orders-early") == entry, "asking again changes nothing"
    with pytest.raises(NameTakenError, match=r"published already, as 'orders-early', version 1"):
        client.jobs.publish_checkpoint("run", 2)
    told = [event.message for event in client.jobs.events("run") if event.message.startswith("Published")]
    assert told == ["Published the checkpoint of step 2 as adapter orders-early, version 1."]
    assert client.models.get(entry.id).name == "orders-early"


def test_a_cancelled_job_s_checkpoint_and_what_becomes_of_names(
    member: Any, job: dict[str, Any], keep: Keep, client: Any, running: Any
) -> None:
    keep(2), keep(4)
    with running.memory.database.session() as session:
        jobs.stop(session, job["id"], 1, "cancel")
    assert client.jobs.get("run").status == "cancelled"
    first, second = client.jobs.publish_checkpoint("run", 2), client.jobs.publish_checkpoint("run", 4)
    assert [(each.name, each.version) for each in (first, second)] == [("orders", 1), ("orders", 2)]
    member.http.delete(f"/v1/models/{second.id}").raise_for_status()
    again = client.jobs.publish_checkpoint("run", 4, "other")
    assert (again.name, again.version) == ("other", 1)
    client.hub.delete("orders")
    assert client.jobs.publish_checkpoint("run", 2).version == 1
    refused = member.http.post("/v1/fine_tuning/jobs/run/checkpoints/2/publish", json={"output_model": "no/slash"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "output_model")
    with pytest.raises(NotFoundError, match=r"no checkpoint '3'; it has, by step: 2, 4"):
        client.jobs.publish_checkpoint("run", 3)
    assert member.http.delete(f"/v1/models/{first.id}").status_code == 200
    assert member.http.delete(f"/v1/models/{first.id}").status_code == 400, "the checkpoint itself stays"


def test_what_is_not_whole_is_not_published(
    member: Any, job: dict[str, Any], keep: Keep, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(step: int) -> tuple[int, str, str]:
        answer = member.http.post(f"/v1/fine_tuning/jobs/run/checkpoints/{step}/publish")
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    for step in (2, 4, 6, 8):
        keep(step)
    key = f"{member.organization['id']}/jobs/{job['id']}/checkpoints"
    place = running.memory.storage.local_path
    place(f"{key}/step-000002/adapter_model.safetensors").write_bytes(b"weights of 3")
    assert publish(2)[:2] == (400, "checkpoint_damaged")
    place(f"{key}/step-000004/adapter_model.safetensors").unlink()
    assert publish(4)[:2] == (404, "checkpoint_not_found")
    manifest = json.loads(place(f"{key}/step-000006/manifest.json").read_text())
    del manifest["files"]["afinador.json"]
    place(f"{key}/step-000006/manifest.json").write_text(json.dumps(manifest))
    status, code, message = publish(6)
    assert (status, code) == (400, "checkpoint_of_older_version") and "can be downloaded" in message
    meanwhile = []
    published_as = hub_publishing.publish_as
    monkeypatch.setattr(
        "registry.publishing.checkpoint_publishing.publish_as",
        lambda *given, **named: (meanwhile.append(publish(8)), published_as(*given, **named))[1],
    )
    assert member.http.post("/v1/fine_tuning/jobs/run/checkpoints/8/publish").status_code == 200
    assert meanwhile[0][:2] == (503, "publication_under_way")
    assert not list(running.memory.settings.home.glob("publishing-*"))
