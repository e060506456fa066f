"""The specification's entities: each attribute in the API, in the SDK and in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlalchemy import select

from afinador.schemas.events import EventLevel
from afinador.schemas.files import FileType
from registry.ledger.tables import BaseModel, Checkpoint, Event, File, HubVersion, Job, Table
from tests.api.made_entities import Made

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
    "ErrorEvent": {"id": str, "job_id": str, "level": str, "message": str, "created_at": datetime},
    "File": {"id": str, "path": str, "type": str},
    "Model": {"id": str, "name": str, "type": str, "origin": str, "created_at": datetime},
    "RemoteModel": {"id": str, "name": str, "type": str, "origin": str, "created_at": datetime},
    "TunedModel": {"id": str, "name": str, "type": str, "origin": str, "created_at": datetime},
    "Adapter": {"id": str, "model_id": str, "dataset": str, "created_at": datetime, "parameters": dict},
}
"""Section 6, name by name; models of both types and origins, events of both levels."""

WORDS: dict[str, dict[str, str]] = {
    "Event": {"level": "info"},
    "ErrorEvent": {"level": "error"},
    "File": {"type": "dataset"},
    "Model": {"type": "base", "origin": "local"},
    "RemoteModel": {"type": "base", "origin": "remote"},
    "TunedModel": {"type": "fine-tuned", "origin": "local"},
}
"""What each says of itself, everywhere."""

WITHIN: dict[tuple[str, str], dict[str, type]] = {
    ("FineTuningJob", "hyperparameters"): {"batch_size": int, "learning_rate": float, "epochs": int},
    ("Checkpoint", "metrics"): {"train_loss": float, "valid_loss": float},
}
"""The class diagram's Hyperparameters and Metrics."""

LEDGER: dict[str, tuple[type[Table], dict[str, str]]] = {
    "FineTuningJob": (Job, {"dataset": "training_file_id", "hyperparameters": "spec"}),
    "Checkpoint": (Checkpoint, {}),
    "Event": (Event, {}),
    "ErrorEvent": (Event, {}),
    "File": (File, {"path": "storage_key"}),
    "Model": (BaseModel, {"id": "name"}),
    "RemoteModel": (BaseModel, {"id": "name"}),
    "TunedModel": (HubVersion, {"id": "alias"}),
    "Adapter": (HubVersion, {"id": "alias", "model_id": "base_model_id", "dataset": "training_file_id"}),
}
"""In which table each lies, and the columns that have another name there."""

SAID_BY_THE_TABLE = {("Model", "type"), ("RemoteModel", "type"), ("TunedModel", "type"), ("TunedModel", "origin")}
"""Attributes without a column: whether a model is a base or was tuned here is where it lies."""


@pytest.mark.parametrize("entity", ATTRIBUTES)
def test_each_entity_has_its_attributes_everywhere(entity: str, made: Made, running: Any) -> None:
    rest, sdk = made.rest(entity), made.sdk(entity)
    table, other_names = LEDGER[entity]
    key = getattr(table, "id" if table is BaseModel else other_names.get("id", "id"))
    with running.memory.database.reading() as session:  # others have base models of the same name
        row = session.query(table).filter(key == rest["model_id" if table is BaseModel else "id"]).one()
    for name, kind in ATTRIBUTES[entity].items():
        in_sdk = getattr(sdk, name)
        assert isinstance(in_sdk, kind), name
        if (entity, name) in SAID_BY_THE_TABLE:
            assert rest[name] == in_sdk
            continue
        in_ledger = getattr(row, other_names.get(name, name))
        if kind is datetime:
            assert in_sdk.tzinfo is UTC or in_sdk.utcoffset().total_seconds() == 0
            assert rest[name] == int(in_ledger) == in_sdk.timestamp()
        elif name in ("hyperparameters", "metrics"):  # figures also have the names that OpenAI gives them
            kept = in_ledger["hyperparameters"] if name == "hyperparameters" else in_ledger
            assert {**rest[name], **{k: v for k, v in kept.items() if v is not None}} == rest[name] == in_sdk
        else:
            assert type(rest[name]) is kind and rest[name] == in_sdk == in_ledger, name
        for inner, inner_kind in WITHIN.get((entity, name), {}).items():
            assert type(rest[name][inner]) is inner_kind, inner


@pytest.mark.parametrize("entity", WORDS)
def test_each_entity_says_what_it_is(entity: str, made: Made) -> None:
    rest, sdk = made.rest(entity), made.sdk(entity)
    assert {name: rest[name] for name in WORDS[entity]} == WORDS[entity]
    assert {name: getattr(sdk, name) for name in WORDS[entity]} == WORDS[entity]


def test_what_no_column_says_of_a_model_its_place_says(made: Made, running: Any) -> None:
    with running.memory.database.reading() as session:
        bases = set(session.scalars(select(BaseModel.name)))
        tuned = {row.alias: row for row in session.scalars(select(HubVersion))}
    for entity, words in WORDS.items():
        if "origin" in words:
            lies_in = {"base": bases, "fine-tuned": tuned.keys()}
            id_ = made.rest(entity)["id"]
            assert [kind for kind, ids in lies_in.items() if id_ in ids] == [words["type"]]
    row = tuned[made.rest("TunedModel")["id"]]
    assert row.files and all(running.memory.storage.exists(f"{row.storage_prefix}/{path}") for path in row.files)


def test_words_are_those_of_the_specification(made: Made) -> None:
    assert set(get_args(FileType)) == {"dataset", "model", "log"}
    assert set(get_args(EventLevel)) == {"info", "error", "warn"}  # warn is of OpenAI's shape
    assert {file["type"] for file in made.get("/hub/adapters/orders/files")["data"]} == {"model"}
    assert made.get(f"/files/{made.result_file}")["type"] == made.client.files.get(made.result_file).type == "log"
    tuned = made.get("/models?type=fined-tuned")["data"]
    assert {(each["type"], each["origin"]) for each in tuned} == {("fine-tuned", "local")}
    assert {each["name"] for each in tuned} == {"orders", "returns", "whole", "on-whole", "further"}
    assert made.get("/models?type=fine-tuned")["data"] == tuned
    assert {model["type"] for model in made.get("/models?type=base")["data"]} == {"base"}
    assert len(made.get("/models")["data"]) == len(tuned) + len(made.get("/models?type=base")["data"])
    refused = made.get("/models?type=big")["error"]
    assert refused["param"] == "type" and "fine-tuned" in refused["message"]


def test_no_answer_tells_where_things_lie_on_the_server(made: Made, running: Any) -> None:
    folders = (str(running.memory.settings.home), str(running.models))
    told = {name: str(made.rest(name)) for name in ATTRIBUTES}
    assert [name for name, text in told.items() for folder in folders if folder in text] == []
    assert made.rest("File")["path"].startswith(made.rest("FineTuningJob")["organization_id"])
