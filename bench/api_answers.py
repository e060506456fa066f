"""How fast the API answers with a full ledger: p50, p95 and the slowest of every GET.

``python -m bench.api_answers [--jobs 10000] [--versions 1000] [--files 1000] [--requests 100]`` starts the API on an empty home, makes
one job through it, copies that job's rows (40 events and 3 checkpoints each), its file, its base model (200), its saved spec (500),
a preparation (500), the organisation (200, with a key each) and one published version of the hub until the ledger is full, and asks every
GET in turn, one request at a time, as the organisation that owns them all, and the operator's lists as the operator.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from afinador.settings import Settings
from afinador.storage import Storage
from api.service import MLFLOW_AFTER_SECONDS
from registry import organisations
from registry.job_life.checkpoints import MANIFEST
from registry.ledger.database import upgrade
from registry.ledger.tables import (
    ApiKey,
    BaseModel,
    Certificate,
    Checkpoint,
    Event,
    File,
    HubVersion,
    Job,
    JobSpec,
    Organization,
    Preparation,
    Table,
)
from registry.memory import Memory

ROOT = Path(__file__).resolve().parent.parent
MESSAGES_PER_JOB, CURVE_ROWS_PER_JOB, CHECKPOINTS_PER_JOB = 20, 20, 3
BASE_MODELS, SPECS, PREPARATIONS, ORGANIZATIONS = 200, 500, 500, 200
ROWS_AT_ONCE = 5_000
AIM_MILLISECONDS = 100
IMPORT_SECONDS = 15.0
"""The API takes fewer for MLflow."""
OPERATOR_KEY = "af-operator-of-this-bench"
OF_THE_OPERATOR = ("/organizations", "/api_keys")
HUB_FILE, CHECKPOINT_FILE = "README.md", "adapter_model.safetensors"


def make_home(home: Path) -> str:
    """Make a ledger with one organisation; returns its key."""
    settings = Settings(home=home)
    upgrade(settings.ledger_url)
    memory = Memory.open(settings)
    with memory.database.session() as session:
        organization = organisations.create(session, "acme")
        _, key = organisations.create_key(session, organization.id, "bench")
    memory.database.close()
    return key


@contextlib.contextmanager
def running_api(home: Path, key: str) -> Iterator[httpx.Client]:
    """Serve the home on a free port, with no Prefect behind it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    ours = {"AFINADOR_HOME": str(home), "AFINADOR_MODEL_ROOTS": str(ROOT / "examples")}
    ours["AFINADOR_OPERATOR_KEY"] = OPERATOR_KEY
    nobody = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "api", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | ours | nobody, stderr=subprocess.DEVNULL)
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60
    )
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/files").is_success:
                    break
            assert process.poll() is None, "the API does not start"
            time.sleep(0.1)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def make_one_job(client: httpx.Client) -> str:
    """Register the example model, upload the example data, save a spec, ask for a preparation and create a job, which nobody will run."""
    model = {"name": "tiny", "source": str(ROOT / "examples" / "base_model" / "model")}
    client.post("/models", json=model).raise_for_status()
    content = (ROOT / "examples" / "data" / "train.jsonl").read_bytes()
    client.post("/files", files={"file": ("train.jsonl", content)}, data={"purpose": "fine-tune"}).raise_for_status()
    while (
        client.get("/models/tiny").json()["status"] != "ready"
        or client.get("/files/train").json()["status"] != "processed"
    ):
        time.sleep(0.1)
    body = {"model": "tiny", "training_file": "train.jsonl", "hyperparameters": {"epochs": 1}}
    client.post("/fine_tuning/job_specs", json={"name": "nightly", "request": body}).raise_for_status()
    steps = {"file": "train.jsonl", "steps": [{"type": "shuffle"}], "output": "shuffled.jsonl"}
    client.post("/datasets/prepare", json=steps).raise_for_status()
    return str(client.post("/fine_tuning/jobs", json=body).raise_for_status().json()["id"])


def values_of(row: Table) -> dict[str, Any]:
    """Return a row's columns by the names of its attributes."""
    return {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}


def fill_around(session: Session, files: int) -> None:
    """Copy the one file until there are ``files``; likewise base model, saved spec, preparation and organisation."""
    copies: list[tuple[type[Table], int, Callable[[int], dict[str, Any]]]] = [
        (File, files, lambda n: {"id": f"file-{n:024d}", "filename": f"data-{n:05d}.jsonl"}),
        (BaseModel, BASE_MODELS, lambda n: {"id": f"model_{n:024d}", "name": f"base-{n:03d}"}),
        (JobSpec, SPECS, lambda n: {"id": f"spec_{n:024d}", "name": f"spec-{n:03d}"}),
        (
            Preparation,
            PREPARATIONS,
            lambda n: {
                "id": f"preparation_{n:024d}",
                "file_id": f"file-{2 * n % files:024d}",
                "outputs": {f"file-{(2 * n + 1) % files:024d}": ""},
            },
        ),
        (Organization, ORGANIZATIONS, lambda n: {"id": f"org_{n:024d}", "name": f"other-{n:03d}"}),
        (
            ApiKey,
            ORGANIZATIONS,
            lambda n: {"id": f"key_{n:024d}", "hash": f"{n:064d}", "organization_id": f"org_{n:024d}"},
        ),
    ]
    for table, count, of_number in copies:
        template = values_of(session.scalars(select(table)).one())
        created_at = template["created_at"]
        rows = [template | of_number(number) | {"created_at": created_at - number} for number in range(count)]
        for start in range(0, count, ROWS_AT_ONCE):
            session.execute(insert(table), rows[start : start + ROWS_AT_ONCE])


def fill(session: Session, job_id: str, jobs: int, versions: int, files: int) -> None:
    """Copy one job until there are ``jobs``, each with its events and checkpoints, and ``versions`` in the hub."""
    fill_around(session, files)
    job, file = session.get_one(Job, job_id), session.scalars(select(File)).first()
    assert file is not None
    template, now = values_of(job) | {"status": "succeeded", "finished_at": time.time()}, time.time()
    owner = {"organization_id": job.organization_id}
    rows: dict[type[Table], list[dict[str, Any]]] = {
        Job: [],
        Event: [],
        Checkpoint: [],
        HubVersion: [],
        Certificate: [],
    }
    for number in range(jobs):
        one = f"ftjob-{number:024d}"
        of_job = owner | {"job_id": one, "created_at": now - number}
        uses = {
            "training_file_id": f"file-{number % files:024d}",
            "base_model_id": f"model_{number % BASE_MODELS:024d}",
            "base_model": f"base-{number % BASE_MODELS:03d}",
            "job_spec_id": f"spec_{number % SPECS:024d}",
            "job_spec": f"spec-{number % SPECS:03d}",
        }
        rows[Job].append(template | uses | {"id": one, "name": f"job-{number:05d}", "created_at": now - number})
        rows[Certificate].append(of_job | {"id": f"certificate_{number:024d}", "type": "resume", "status": "failed"})
        for sequence in range(1, MESSAGES_PER_JOB + CURVE_ROWS_PER_JOB + 1):
            kind = "message" if sequence <= MESSAGES_PER_JOB else "metrics"
            data = {} if kind == "message" else {"step": sequence, "train_loss": 1.0, "learning_rate": 1e-4}
            event = {"id": f"ftevent-{number}-{sequence}", "sequence": sequence, "level": "info", "type": kind}
            rows[Event].append(of_job | event | {"message": "A sentence about the job.", "data": data})
        for step in range(1, CHECKPOINTS_PER_JOB + 1):
            made = {"id": f"ftckpt_{number}-{step}", "name": f"ft:tiny:acme::{number}:step-{step}", "step_number": step}
            figures = {"storage_key": f"checkpoints/{number}/{step}", "metrics": {"train_loss": 1.0}, "bytes": 1000}
            rows[Checkpoint].append(of_job | made | figures)
        if number < versions:
            rows[HubVersion].append(of_job | published(job, file, number))
        if len(rows[Event]) >= ROWS_AT_ONCE or number == jobs - 1:
            for table, waiting in rows.items():
                if waiting:
                    session.execute(insert(table), waiting)
                    waiting.clear()


def published(job: Job, file: File, number: int) -> dict[str, Any]:
    """Return a version of the hub; half of them are adapters, half models."""
    return {
        "id": f"hub_{number:024d}",
        "name": f"result-{number:04d}",
        "version": 1,
        "kind": "adapter" if number % 2 else "model",
        "alias": f"ft:tiny:acme::{number}",
        "base_model_id": job.base_model_id,
        "base_model": job.base_model,
        "training_file_id": file.id,
        "tuning_method": "lora" if number % 2 else "full",
        "task": job.task,
        "parameters": {"epochs": 1},
        "metrics": {"tuned": {"loss": 1.0}},
        "files": {HUB_FILE: {"bytes": 10, "sha256": "0" * 64}},
        "storage_prefix": f"hub/{number}",
    }


def write_files(storage: Storage, job: int, version: int, folder: Path) -> None:
    """Put the files there that are asked for: of one checkpoint and of one version; the other copies have none."""
    stated = {"files": {CHECKPOINT_FILE: {"bytes": 1_000, "sha256": "0" * 64}}}
    (folder / MANIFEST).write_text(json.dumps(stated))
    (folder / CHECKPOINT_FILE).write_bytes(bytes(1_000))
    (folder / HUB_FILE).write_text("0123456789")
    for name in (MANIFEST, CHECKPOINT_FILE):
        storage.put_file(folder / name, f"checkpoints/{job}/1/{name}")
    storage.put_file(folder / HUB_FILE, f"hub/{version}/{HUB_FILE}")


def questions(client: httpx.Client, jobs: int, versions: int, files: int) -> dict[str, str]:
    """Return every GET that the description of the API names, with real ids in its path."""
    described = httpx.get(str(client.base_url).removesuffix("/v1/") + "/openapi.json").raise_for_status().json()
    middle, version, file = f"ftjob-{jobs // 2:024d}", f"result-{versions // 2:04d}", f"file-{files // 2:024d}"
    found = {"job": middle, "model": f"base-{BASE_MODELS // 2:03d}", "file": file, "name": version}
    found |= {"job_spec": f"spec-{SPECS // 2:03d}", "preparation": f"preparation_{PREPARATIONS // 2:024d}"}
    paths = {}
    for path, verbs in described["paths"].items():
        if "get" not in verbs:
            continue
        short = path.removeprefix("/v1")
        at = found | {"checkpoint": "1", "path": CHECKPOINT_FILE if "/checkpoints/" in short else HUB_FILE}
        paths[short] = short.format_map(at)
    return paths | {
        "/fine_tuning/jobs?limit=100": "/fine_tuning/jobs?limit=100",
        "/fine_tuning/jobs?after=<the middle one>&limit=100": f"/fine_tuning/jobs?after={middle}&limit=100",
        "/fine_tuning/jobs?status=running": "/fine_tuning/jobs?status=running",
        "/fine_tuning/jobs/<name>": f"/fine_tuning/jobs/job-{jobs - 1:05d}",
        "/fine_tuning/jobs/{job}/events?limit=100": f"/fine_tuning/jobs/{middle}/events?limit=100",
        "/fine_tuning/job_specs?limit=100": "/fine_tuning/job_specs?limit=100",
        "/datasets/preparations?limit=100": "/datasets/preparations?limit=100",
        "/files?limit=100": "/files?limit=100",
        "/files?after=<the middle one>&limit=100": f"/files?after={file}&limit=100",
        "/files/<name>": f"/files/data-{files // 2:05d}.jsonl",
        "/files/<name without extension>": f"/files/data-{files // 2:05d}",
        "/hub/adapters?limit=100": "/hub/adapters?limit=100",
    }


def measure(jobs: int, versions: int, files: int, requests: int, settle_seconds: float) -> dict[str, Any]:
    """Fill a ledger and ask everything; returns milliseconds by route, the slowest p95 first."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        key = make_home(home)
        with running_api(home, key) as client:
            job_id = make_one_job(client)
        memory = Memory.open(Settings(home=home))
        with memory.database.session() as session:
            assert session.scalars(select(Organization)).one().name == "acme"
            fill(session, job_id, jobs, versions, files)
        write_files(memory.storage, jobs // 2, versions // 2, Path(folder))
        memory.database.close()
        answers = {}
        with running_api(home, key) as client:
            time.sleep(settle_seconds)
            for name, path in questions(client, jobs, versions, files).items():
                times = []
                key_of = {"Authorization": f"Bearer {OPERATOR_KEY}"} if path in OF_THE_OPERATOR else {}
                for _ in range(requests):
                    started_at = time.perf_counter()
                    answer = client.get(path, headers=key_of)
                    times.append((time.perf_counter() - started_at) * 1000)
                    assert answer.is_success, f"{path}: {answer.text}"
                cuts = statistics.quantiles(times, n=20)
                answers[name] = {
                    "p50_ms": round(cuts[9], 1),
                    "p95_ms": round(cuts[18], 1),
                    "most_ms": round(max(times), 1),
                }
    ordered = dict(sorted(answers.items(), key=lambda item: -item[1]["p95_ms"]))
    asked = {"jobs": jobs, "versions": versions, "files": files, "load_average": round(os.getloadavg()[0], 1)}
    return asked | {"aim_p95_ms": AIM_MILLISECONDS, "routes": ordered}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=1_000, help="published models and adapters")
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=100, help="of each route")
    parser.add_argument(
        "--settle-seconds",
        type=float,
        default=MLFLOW_AFTER_SECONDS + IMPORT_SECONDS,
        help="wait so long first; the API imports MLflow once it has started",
    )
    measured = measure(**vars(parser.parse_args()))
    print(json.dumps(measured, indent=2))
