"""A real service for these tests: a real ledger and storage in a folder of its own, no Prefect, uvicorn on a free port."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy
import pytest
import uvicorn
from openai import OpenAI
from safetensors.numpy import save_file

from afinador.settings import Settings
from api.app import create_app
from api.service import Service
from registry import jobs
from registry.ledger.database import upgrade
from registry.memory import Memory
from registry.publishing import hub_publishing
from registry.tracking.experiments import Experiments
from tests.api.made_entities import Made, one_of_each

OPERATOR_KEY = "af-operator-of-these-tests"
NOBODY_HOME = "http://127.0.0.1:9/api"


@dataclass
class Running:
    """The service while it runs."""

    url: str
    service: Service
    models: Path

    @property
    def memory(self) -> Memory:
        return self.service.memory

    def http(self, key: str | None) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@dataclass
class Member:
    """An organisation with a key, as its people see the service."""

    organization: dict[str, Any]
    key: str
    http: httpx.Client
    openai: OpenAI

    def upload(self, text: str | None = None, filename: str = "orders.jsonl") -> dict[str, Any]:
        """Upload a file and wait for its verdict."""
        content = (text if text is not None else good_rows()).encode()
        answer = self.http.post("/v1/files", files={"file": (filename, content)}, data={"purpose": "fine-tune"})
        assert answer.status_code == 200, answer.text
        return self.wait(f"/v1/files/{answer.json()['id']}", lambda file: file["status"] != "uploaded")

    def wait(self, path: str, until: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            thing = self.http.get(path).json()
            if until(thing):
                return thing
            assert time.monotonic() < end, f"{path} stays {thing}"
            time.sleep(0.05)


def good_rows(count: int = 12) -> str:
    return "".join(json.dumps({"prompt": f"Question {n}?", "completion": f"Answer {n}."}) + "\n" for n in range(count))


def make_base_model(folder: Path, architecture: str = "LlamaForCausalLM") -> Path:
    """Write a base model that can be registered: tiny, and never run."""
    folder.mkdir(parents=True)
    config = {"architectures": [architecture], "model_type": "llama", "hidden_size": 4, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {"<unk>": 0, "</s>": 1, "a": 2, "b": 3}
    tokenizer = {"version": "1.0", "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    weights = {"model.embed_tokens.weight": numpy.zeros((4, 4), numpy.float32)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_result(folder: Path, kind: str) -> Path:
    """Write what training leaves behind for the hub."""
    folder.mkdir(parents=True)
    weights = {"adapter": "adapter_model.safetensors", "model": "model.safetensors"}[kind]
    config = {"adapter": {}, "model": {"architectures": ["LlamaForCausalLM"]}}[kind]
    (folder / {"adapter": "adapter_config.json", "model": "config.json"}[kind]).write_text(json.dumps(config))
    (folder / "README.md").write_text("# A result")
    save_file({"weight": numpy.zeros(4, numpy.float32)}, folder / weights, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    models = tmp_path_factory.mktemp("models")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        home=home,
        operator_key=OPERATOR_KEY,  # type: ignore[arg-type]
        model_roots=[models],
        prefect_api_url=NOBODY_HOME,
    )
    upgrade(settings.ledger_url)
    # MLflow's store takes seconds to make, so all tests of a session share one.
    mlflow = Settings(_env_file=None, home=tmp_path_factory.getbasetemp() / "mlflow-store")  # type: ignore[call-arg]
    app = create_app(Memory.open(settings), experiments_factory=lambda: Experiments(mlflow))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Running(f"http://127.0.0.1:{port}", app.state.service, models)
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def operator(running: Running) -> Iterator[httpx.Client]:
    with running.http(OPERATOR_KEY) as client:
        yield client


@pytest.fixture(scope="module")
def new_member(running: Running, operator: httpx.Client) -> Iterator[Callable[[], Member]]:
    """Makes organisations."""
    made: list[Member] = []

    def make() -> Member:
        organization = operator.post("/v1/organizations", json={"name": f"org-{uuid4().hex[:8]}"}).json()
        key = operator.post("/v1/api_keys", json={"organization": organization["name"]}).json()["key"]
        client = OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0)
        made.append(Member(organization, key, running.http(key), client))
        return made[-1]

    yield make
    for member in made:
        member.http.close()
        member.openai.close()


@pytest.fixture
def member(new_member: Callable[[], Member]) -> Member:
    """An organisation of this test's own."""
    return new_member()


@pytest.fixture(scope="session")
def public_base_model(running: Running, operator: httpx.Client) -> str:
    """Name of a base model that every organisation can use."""
    operator.post("/v1/organizations", json={"name": "the-operators"})
    source = make_base_model(running.models / "tiny")
    headers = {"openai-organization": "the-operators"}
    body = {"name": "tiny-llama", "source": str(source), "visibility": "public"}
    answer = operator.post("/v1/models", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    end = time.monotonic() + 20
    while operator.get("/v1/models/tiny-llama", headers=headers).json()["status"] != "ready":
        assert time.monotonic() < end
        time.sleep(0.05)
    return "tiny-llama"


Publish = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def publish(running: Running, public_base_model: str, tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Makes a version in a member's hub, by the real way but without training; returns the job."""

    def go(member: Member, name: str, kind: str = "adapter", base_model: str = public_base_model) -> dict[str, Any]:
        file = member.upload()["id"]
        method = {"adapter": "lora", "model": "full"}[kind]
        body = {"model": base_model, "training_file": file, "output_model": name, "tuning_method": method}
        job = member.http.post("/v1/fine_tuning/jobs", json=body).json()
        folder = make_result(tmp_path_factory.mktemp("result") / job["id"], kind)
        with running.memory.database.session() as session:
            row = jobs.claim(session, job["id"], flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
        assert row is not None
        experiments = running.service.experiments.get()
        alias = hub_publishing.publish(running.memory, experiments, row, folder, {"tuned": {"loss": 0.5}}).alias
        with running.memory.database.session() as session:
            jobs.set_fields(session, job["id"], row.attempt, fine_tuned_model=alias)
            jobs.finish(session, job["id"], row.attempt, "succeeded", message="The job is done")
        return member.http.get(f"/v1/fine_tuning/jobs/{job['id']}").json()

    return go


@pytest.fixture
def base_model(member: Member, running: Running, root: Path) -> str:
    """A private base model with a real tokenizer."""
    folder = running.models / member.organization["name"]
    shutil.copytree(root / "examples" / "base_model" / "model", folder)
    answer = member.http.post("/v1/models", json={"name": "real", "source": str(folder)})
    assert answer.status_code == 200, answer.text
    member.wait("/v1/models/real", lambda model: model["status"] == "ready")
    return "real"


@pytest.fixture(scope="module")
def made(
    running: Running,
    new_member: Callable[[], Member],
    publish: Publish,
    public_base_model: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Made]:
    """One of each of the specification's entities."""
    folder = tmp_path_factory.mktemp("entities")
    with one_of_each(running, new_member(), publish, public_base_model, folder) as made:
        yield made
