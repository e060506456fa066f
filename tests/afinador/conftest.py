"""A real service for the tests of the SDK and the command line: real ledger and storage, uvicorn, no Prefect."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from registry.memory import Memory

OPERATOR_KEY = "af-operator-of-these-tests"


@dataclass
class Service:
    """A service, and an organisation of one test on it."""

    url: str
    memory: Memory
    organization: str
    organization_id: str
    key: str
    operator_key: str
    base_model: str
    models: Path

    def run_job(self, job_id: str, *, losses: tuple[float, ...] = (2.0, 1.0)) -> int:
        """Do what a worker does up to the last step: claim the job, log losses and progress. Returns the attempt."""
        from registry import jobs
        from registry.job_life import events

        with self.memory.database.session() as session:
            job = jobs.claim(session, job_id, flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
            assert job is not None
            attempt = job.attempt
            for step, loss in enumerate(losses, start=1):
                row = {"step": step, "train_loss": loss}
                events.append(session, job_id, f"Step {step}: train loss={loss}", type="metrics", data=row)
            progress = {
                "state": "training",
                "step": len(losses),
                "steps": 4,
                "train_loss": losses[-1],
                "eta_seconds": 5,
            }
            jobs.set_progress(session, job_id, attempt, progress)
        return attempt

    def end_job(self, job_id: str, attempt: int, status: str = "succeeded", reason: str | None = None) -> None:
        """Do what a worker does at the end."""
        from registry import jobs

        metrics = {"base": {"loss": 3.2, "exact_match": 0.0}, "tuned": {"loss": 0.4, "exact_match": 0.75}}
        error = {"code": "out_of_memory", "message": reason, "param": None} if reason else None
        with self.memory.database.session() as session:
            if status == "succeeded":
                jobs.set_fields(session, job_id, attempt, metrics=metrics, trained_tokens=1234)
            assert jobs.finish(session, job_id, attempt, status, error=error, message=f"The job has {status}.")

    def keep_checkpoint(self, job_id: str, step: int, files: dict[str, bytes]) -> None:
        """Put a checkpoint into the storage and the ledger, as the flow does."""
        from registry.job_life import checkpoints
        from registry.ledger.tables import Job

        key = f"{self.organization_id}/jobs/{job_id}/checkpoints/step-{step:06d}"
        stated = {}
        for path, content in files.items():
            target = self.memory.storage.local_path(f"{key}/{path}")
            assert target is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            stated[path] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest = self.memory.storage.local_path(f"{key}/manifest.json")
        assert manifest is not None
        manifest.write_text(json.dumps({"files": stated}))
        with self.memory.database.session() as session:
            checkpoints.register(session, session.get_one(Job, job_id), step, key, {"train_loss": 1.0}, 10)

    def publish(self, job: dict[str, Any], files: dict[str, bytes]) -> None:
        """Put files into the hub under the job's name, as its publishing does."""
        from registry.ledger.tables import HubVersion

        output = job["spec"]["output"]
        prefix = f"{self.organization_id}/hub/{output['name']}/1"
        for path, content in files.items():
            target = self.memory.storage.local_path(f"{prefix}/{path}")
            assert target is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        described = {
            path: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        }
        row = HubVersion(
            organization_id=self.organization_id,
            name=output["name"],
            version=1,
            kind=output["kind"],
            alias=output["alias"],
            base_model_id=job["spec"]["base_model"]["model_id"],
            base_model=job["model"],
            job_id=job["id"],
            training_file_id=job["training_file"],
            tuning_method="lora",
            task="causal_lm",
            parameters={"epochs": 3, "lora_rank": 8, "lora_alpha": 32.0, "packing": False},
            metrics={"tuned": {"loss": 0.4}},
            files=described,
            storage_prefix=prefix,
            mlflow_model_version="1",
        )
        with self.memory.database.session() as session:
            session.add(row)


def make_base_model(folder: Path) -> Path:
    """Write a base model that can be registered: tiny, and never run."""
    import numpy
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {"<unk>": 0, "</s>": 1, "a": 2, "b": 3}
    tokenizer = {"version": "1.0", "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    weights = {"model.embed_tokens.weight": numpy.zeros((4, 4), numpy.float32)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _no_mlflow() -> Any:
    from afinador.errors import ServiceUnavailableError

    raise ServiceUnavailableError("these tests have no MLflow")


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Memory, Path]]:
    import uvicorn

    from afinador.settings import Settings
    from api.app import create_app
    from registry.ledger.database import upgrade
    from registry.memory import Memory

    models = tmp_path_factory.mktemp("models")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        home=tmp_path_factory.mktemp("home"),
        operator_key=OPERATOR_KEY,  # type: ignore[arg-type]
        model_roots=[models],
        prefect_api_url="http://127.0.0.1:9/api",
    )
    upgrade(settings.ledger_url)
    memory = Memory.open(settings)
    app = create_app(memory, experiments_factory=_no_mlflow)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", memory, models
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def service(_server: tuple[str, Memory, Path]) -> Service:
    """A service with a fresh organisation that has a base model."""
    from afinador.schemas.models import BaseModelRequest
    from registry import organisations
    from registry.models import base_models

    url, memory, models = _server
    name = f"org-{uuid4().hex[:8]}"
    folder = make_base_model(models / name)
    with memory.database.session() as session:
        organization = organisations.create(session, name)
        organization_id = organization.id
        _, key = organisations.create_key(session, organization_id, "tests")
        request = BaseModelRequest(name="tiny", source=str(folder))
        model_id = base_models.register(session, memory, organization_id, request, operator=False).id
    base_models.complete(memory, model_id)
    return Service(url, memory, name, organization_id, key, OPERATOR_KEY, "tiny", models)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A data set that can be trained on."""
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(json.dumps({"text": f"Question {n}?", "label": f"Answer {n}."}) + "\n" for n in range(12)))
    return path


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Runs functions beside the test, and waits for them at its end."""
    threads: list[threading.Thread] = []

    def start(function: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=function))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let proofs train in the process of the test: three new ones take half a minute to import what is here already.

    ``tests/integration/test_proofs.py`` makes both kinds of proof with processes of their own.
    """
    from afinador.training import FineTuner
    from afinador.training.child import TrainingProcess
    from afinador.training.stopping import Stopped, StopSign

    def run(
        process: TrainingProcess, run_dir: Any, *, stop_after: int | None = None, threads: int | None = None
    ) -> None:
        process.watch(run_dir)
        try:
            FineTuner(run_dir.spec(), run_dir, stop=StopSign(run_dir, stop_after=stop_after)).run()
        except Stopped:
            if stop_after is None:
                raise

    monkeypatch.setattr(TrainingProcess, "run", run)
