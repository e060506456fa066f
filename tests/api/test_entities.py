"""The specification's entities: each attribute and each relation, in the API, in the SDK and in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from sqlalchemy import ForeignKey

from afinador import Afinador
from afinador.schemas.events import EventLevel
from afinador.schemas.files import FileType
from registry import checkpoints, files
from registry.tables import BaseModel, Checkpoint, Event, File, HubVersion, Job, Table

ATTRIBUTES: dict[str, dict[str, type]] = {
    "FineTuningJob": {
        "id": str,
        "organization_id": str,
        "created_at": datetime,
        "status": str,
        "base_model": str,
        "dataset": str,
        "hyperparameters": dict,
        "result_files": list,
    },
    "Checkpoint": {"id": str, "job_id": str, "step_number": int, "metrics": dict},
    "Event": {"id": str, "job_id": str, "level": str, "message": str, "created_at": datetime},
    "File": {"id": str, "path": str, "type": str},
    "Model": {"id": str, "name": str, "type": str, "origin": str, "created_at": datetime},
    "TunedModel": {"id": str, "name": str, "type": str, "origin": str, "created_at": datetime},
    "Adapter": {"id": str, "model_id": str, "dataset": str, "created_at": datetime, "parameters": dict},
}
"""Section 6, name by name; models of both types."""

WITHIN: dict[tuple[str, str], dict[str, type]] = {
    ("FineTuningJob", "hyperparameters"): {"batch_size": int, "learning_rate": float, "epochs": int},
    ("Checkpoint", "metrics"): {"train_loss": float, "valid_loss": float},
}
"""The class diagram's Hyperparameters and Metrics."""

LEDGER: dict[str, tuple[type[Table], dict[str, Callable[[Any], Any] | str]]] = {
    "FineTuningJob": (
        Job,
        {"dataset": "training_file_id", "hyperparameters": lambda row: row.spec["hyperparameters"]},
    ),
    "Checkpoint": (Checkpoint, {}),
    "Event": (Event, {}),
    "File": (File, {"path": "storage_key"}),
    "Model": (BaseModel, {"id": "name", "type": lambda row: "base"}),
    "TunedModel": (
        HubVersion,
        {"id": "alias", "type": lambda row: "fine-tuned", "origin": lambda row: "local"},
    ),
    "Adapter": (HubVersion, {"id": "alias", "model_id": "base_model_id", "dataset": "training_file_id"}),
}
"""Where each lies, the columns that have another name there, and what the table itself says (which type a model is)."""

REFERENCES = [
    (Checkpoint.job_id, Job.id),
    (Event.job_id, Job.id),
    (Job.training_file_id, File.id),
    (HubVersion.training_file_id, File.id),
    (HubVersion.job_id, Job.id),
]
"""Relations that the database itself holds."""


@pytest.fixture
def made(running: Any, member: Any, publish: Any, public_base_model: str, tmp_path: Path) -> SimpleNamespace:
    """One of each: what a job with a checkpoint and a result file has left behind."""
    job = publish(member, "orders")
    source = tmp_path / "curve.csv"
    source.write_text("step,train_loss\n1,2.0\n")
    with running.memory.database.session() as session:
        result = files.create(
            session, running.memory, member.organization["id"], source, "curve.csv", files.RESULT_PURPOSE, "0" * 64, 22
        )  # fmt: skip
        row = session.get_one(Job, job["id"])
        row.result_files = [result.id]
        losses = {"train_loss": 2.0, "valid_loss": 2.5}
        for step in (1, 2):
            checkpoints.register(session, row, step, f"{member.organization['id']}/checkpoints/{step}", losses, 10)
    get = lambda path: member.http.get(f"/v1{path}").json()  # noqa: E731
    rest = {
        "FineTuningJob": get(f"/fine_tuning/jobs/{job['id']}"),
        "Checkpoint": get(f"/fine_tuning/jobs/{job['id']}/checkpoints")["data"][0],
        "Event": get(f"/fine_tuning/jobs/{job['id']}/events")["data"][0],
        "File": get(f"/files/{job['dataset']}"),
        "Model": get(f"/models/{public_base_model}"),
        "TunedModel": get("/models/orders"),
        "Adapter": get("/hub/adapters/orders"),
    }
    with Afinador(running.url, member.key) as client:
        sdk = {
            "FineTuningJob": client.jobs.get(job["id"]),
            "Checkpoint": client.jobs.checkpoints(job["id"]).first(1)[0],
            "Event": client.jobs.events(job["id"]).first(1)[0],
            "File": client.files.get(job["dataset"]),
            "Model": client.models.get(public_base_model),
            "TunedModel": client.models.get("orders"),
            "Adapter": client.hub.get("orders"),
        }
    return SimpleNamespace(rest=rest, sdk=sdk, get=get, job=rest["FineTuningJob"])


@pytest.mark.parametrize("entity", ATTRIBUTES)
def test_each_entity_has_its_attributes_everywhere(entity: str, made: SimpleNamespace, running: Any) -> None:
    rest, sdk = made.rest[entity], made.sdk[entity]
    table, other_names = LEDGER[entity]
    key = getattr(table, str(other_names.get("id", "id")))
    with running.memory.database.reading() as session:
        rows = session.query(table).filter(key == rest["id"]).all()
    # Models of other organisations may have the same name.
    (row,) = [row for row in rows if rest.get("organization_id") in (None, row.organization_id)]
    for name, kind in ATTRIBUTES[entity].items():
        in_sdk = getattr(sdk, name)
        assert isinstance(in_sdk, kind), name
        column = other_names.get(name, name)
        in_ledger = column(row) if callable(column) else getattr(row, column)
        if kind is datetime:
            assert in_sdk.tzinfo is UTC or in_sdk.utcoffset().total_seconds() == 0
            assert rest[name] == int(in_ledger) == in_sdk.timestamp()
        elif name in ("hyperparameters", "metrics"):  # figures also have the names that OpenAI gives them
            assert {**rest[name], **{k: v for k, v in in_ledger.items() if v is not None}} == rest[name] == in_sdk
        else:
            assert type(rest[name]) is kind and rest[name] == in_sdk == in_ledger, name
        for inner, inner_kind in WITHIN.get((entity, name), {}).items():
            assert type(rest[name][inner]) is inner_kind, inner


def test_words_are_those_of_the_specification(made: SimpleNamespace) -> None:
    assert set(get_args(FileType)) == {"dataset", "model", "log"}
    assert set(get_args(EventLevel)) == {"info", "error", "warn"}  # warn is of OpenAI's shape
    assert made.rest["File"]["type"] == "dataset"
    assert {file["type"] for file in made.get("/hub/adapters/orders/files")["data"]} == {"model"}
    assert (made.rest["Model"]["type"], made.rest["Model"]["origin"]) == ("base", "local")
    (tuned,) = made.get("/models?type=fined-tuned")["data"]
    assert (tuned["type"], tuned["origin"], tuned["name"]) == ("fine-tuned", "local", "orders")
    assert made.get("/models?type=fine-tuned")["data"] == [tuned]
    assert {model["type"] for model in made.get("/models?type=base")["data"]} == {"base"}
    assert len(made.get("/models")["data"]) == 1 + len(made.get("/models?type=base")["data"])
    refused = made.get("/models?type=big")["error"]
    assert refused["param"] == "type" and "fine-tuned" in refused["message"]


def test_relations_lead_to_what_is_there(made: SimpleNamespace) -> None:
    job, adapter = made.job, made.rest["Adapter"]
    for noun, least in (("checkpoints", 2), ("events", 1)):
        listed = made.get(f"/fine_tuning/jobs/{job['id']}/{noun}")["data"]
        assert len(listed) >= least and {each["job_id"] for each in listed} == {job["id"]}
    assert made.get(f"/files/{job['dataset']}")["type"] == "dataset"
    assert [made.get(f"/files/{file}")["type"] for file in job["result_files"]] == ["log"]
    assert adapter["parameters"] and adapter["dataset"] == job["dataset"] and adapter["job_id"] == job["id"]
    assert made.get(f"/models/{adapter['model_id']}")["id"] == made.rest["Model"]["id"]


def test_model_has_any_number_of_adapters_and_job_any_number_of_checkpoints(member: Any, publish: Any) -> None:
    jobs = [publish(member, name) for name in ("first", "second", "second")]
    get = lambda path: member.http.get(f"/v1{path}").json()  # noqa: E731
    for job in jobs:
        assert get(f"/fine_tuning/jobs/{job['id']}/checkpoints")["data"] == []
        assert get(f"/fine_tuning/jobs/{job['id']}/events")["data"] != []
        assert get(f"/hub/adapters/{job['fine_tuned_model']}")["job_id"] == job["id"]
    adapters = get("/hub/adapters")["data"]
    assert [(each["name"], each["versions"]) for each in adapters] == [("second", [2, 1]), ("first", [1])]
    (model_id,) = {each["model_id"] for each in adapters}
    assert get(f"/models/{model_id}")["type"] == "base"


@pytest.mark.parametrize(("column", "target"), REFERENCES, ids=lambda column: str(column))
def test_relations_are_kept_by_the_database(column: Any, target: Any) -> None:
    (reference,) = column.property.columns[0].foreign_keys
    assert isinstance(reference, ForeignKey) and reference.column is target.property.columns[0]
    assert not column.property.columns[0].nullable


def test_no_answer_tells_where_things_lie_on_the_server(made: SimpleNamespace, running: Any) -> None:
    folders = (str(running.memory.settings.home), str(running.models))
    told = {name: str(answer) for name, answer in made.rest.items() if name != "Model"}
    assert [name for name, text in told.items() for folder in folders if folder in text] == []
    assert made.rest["File"]["path"].startswith(made.job["organization_id"])
