"""The specification's entities: each attribute and each relation, in the API, in the SDK and in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Session

from afinador import Afinador
from afinador.schemas.events import EventLevel
from afinador.schemas.files import FileType
from registry import checkpoints, dependants, files, jobs
from registry.tables import BaseModel, Checkpoint, Event, File, HubVersion, Job, Table
from tests.registry.hf_hub import running_hub

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

REFERENCES = [
    (Checkpoint.job_id, Job.id),
    (Event.job_id, Job.id),
    (Job.training_file_id, File.id),
    (HubVersion.training_file_id, File.id),
    (HubVersion.job_id, Job.id),
]
"""Relations that the database itself holds."""


@dataclass(frozen=True)
class Made:
    """One of each, and what jobs have left behind: one that succeeded with all there is, one that failed with nothing."""

    get: Callable[[str], dict[str, Any]]
    client: Afinador
    organization_id: str
    succeeded: str
    failed: str
    base: str
    remote: str
    result_file: str

    def rest(self, entity: str) -> dict[str, Any]:
        """Return an entity as REST answers it."""
        paths = {
            "FineTuningJob": f"/fine_tuning/jobs/{self.succeeded}",
            "Checkpoint": f"/fine_tuning/jobs/{self.succeeded}/checkpoints",
            "Event": f"/fine_tuning/jobs/{self.succeeded}/events",
            "ErrorEvent": f"/fine_tuning/jobs/{self.failed}/events",
            "File": f"/files/{self.get(f'/fine_tuning/jobs/{self.succeeded}')['dataset']}",
            "Model": f"/models/{self.base}",
            "RemoteModel": f"/models/{self.remote}",
            "TunedModel": "/models/orders",
            "Adapter": "/hub/adapters/orders",
        }
        answer = self.get(paths[entity])
        if entity == "ErrorEvent":  # an event of its file's check may come later
            return next(event for event in answer["data"] if event["level"] == "error")
        return dict(answer["data"][0]) if answer["object"] == "list" else answer

    def sdk(self, entity: str) -> Any:
        """Return an entity as the SDK gives it."""
        client = self.client
        return {
            "FineTuningJob": lambda: client.jobs.get(self.succeeded),
            "Checkpoint": lambda: client.jobs.checkpoints(self.succeeded).first(1)[0],
            "Event": lambda: client.jobs.events(self.succeeded).first(1)[0],
            "ErrorEvent": lambda: next(event for event in client.jobs.events(self.failed) if event.level == "error"),
            "File": lambda: client.files.get(client.jobs.get(self.succeeded).dataset),
            "Model": lambda: client.models.get(self.base),
            "RemoteModel": lambda: client.models.get(self.remote),
            "TunedModel": lambda: client.models.get("orders"),
            "Adapter": lambda: client.hub.get("orders"),
        }[entity]()


@pytest.fixture(scope="module")
def made(
    running: Any, new_member: Any, publish: Any, public_base_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    member = new_member()
    succeeded, _ = (publish(member, name)["id"] for name in ("orders", "returns"))
    source = tmp_path_factory.mktemp("result") / "curve.csv"
    source.write_text("step,train_loss\n1,2.0\n")
    body = {"model": public_base_model, "training_file": member.upload()["id"]}
    failed = member.http.post("/v1/fine_tuning/jobs", json=body).json()["id"]
    with running.memory.database.session() as session:
        result = files.create(
            session, running.memory, member.organization["id"], source, "curve.csv", files.RESULT_PURPOSE, "0" * 64, 22
        )  # fmt: skip
        row = session.get_one(Job, succeeded)
        row.result_files = [result.id]
        for step, loss in ((1, 2.0), (2, 1.5)):
            losses = {"train_loss": loss, "valid_loss": loss + 0.5}
            checkpoints.register(session, row, step, f"{member.organization['id']}/checkpoints/{step}", losses, 10)
        claimed = jobs.claim(session, failed, flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
        assert claimed is not None
        error = {"code": "out_of_memory", "message": "No memory is left.", "param": None}
        jobs.finish(session, failed, claimed.attempt, "failed", error=error, message=error["message"])
    with running_hub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.memory.settings, "hf_endpoint", hub.url)
        member.http.post("/v1/models", json={"name": "acme/tiny", "source": "hf://acme/tiny"})
        member.wait("/v1/models/acme/tiny", lambda model: model["status"] == "ready")
    with Afinador(running.url, member.key) as client:
        get = lambda path: member.http.get(f"/v1{path}").json()  # noqa: E731
        yield Made(get, client, member.organization["id"], succeeded, failed, public_base_model, "acme/tiny", result.id)


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
    assert {(each["type"], each["origin"], each["name"]) for each in tuned} == {
        ("fine-tuned", "local", "orders"),
        ("fine-tuned", "local", "returns"),
    }
    assert made.get("/models?type=fine-tuned")["data"] == tuned
    assert {model["type"] for model in made.get("/models?type=base")["data"]} == {"base"}
    assert len(made.get("/models")["data"]) == len(tuned) + len(made.get("/models?type=base")["data"])
    refused = made.get("/models?type=big")["error"]
    assert refused["param"] == "type" and "fine-tuned" in refused["message"]


Ids = Collection[str]


@dataclass(frozen=True)
class Relation:
    """One line of the class diagram, asked for in three ways.

    Attributes:
        numbers: How many there are of each owner, an attribute of ``Made``; None: one or more.
        rest: What belongs to an owner, by REST.
        sdk: The same by the SDK.
        ledger: The same by the ledger.
    """

    numbers: Mapping[str, int | None]
    rest: Callable[[Made, str], Ids]
    sdk: Callable[[Made, str], Ids]
    ledger: Callable[[Session, Made, str], Ids]


def ids(things: Iterable[Any]) -> Ids:
    return [thing["id"] if isinstance(thing, dict) else thing.id for thing in things]


def as_text(values: Mapping[str, Any], names: Iterable[str]) -> Ids:
    """Return an object without an id as one text; the same values, the same text."""
    return [json.dumps({name: values[name] for name in names})]


def of_job(path: str, table: type[Checkpoint | Event], **numbers: int | None) -> Relation:
    return Relation(
        numbers,
        lambda made, job: ids(made.get(f"/fine_tuning/jobs/{job}/{path}?limit=100")["data"]),
        lambda made, job: ids(getattr(made.client.jobs, path)(job)),
        lambda session, _, job: session.scalars(select(table.id).where(table.job_id == job)).all(),
    )


HYPERPARAMETERS, METRICS = ("batch_size", "learning_rate", "epochs"), ("train_loss", "valid_loss")
RELATIONS: dict[str, Relation] = {
    'FineTuningJob "1" --> "0..*" Checkpoint': of_job("checkpoints", Checkpoint, succeeded=2, failed=0),
    'FineTuningJob "1" --> "0..*" Event': of_job("events", Event, succeeded=None, failed=None),
    'FineTuningJob "1" --> "1" File (dataset)': Relation(
        {"succeeded": 1, "failed": 1},
        lambda made, job: ids([made.get(f"/files/{made.get(f'/fine_tuning/jobs/{job}')['dataset']}")]),
        lambda made, job: ids([made.client.files.get(made.client.jobs.get(job).dataset)]),
        lambda session, _, job: ids([session.get_one(File, session.get_one(Job, job).training_file_id)]),
    ),
    'FineTuningJob "1" --> "0..*" File (result_files)': Relation(
        {"succeeded": 1, "failed": 0},
        lambda made, job: ids(
            made.get(f"/files/{id_}") for id_ in made.get(f"/fine_tuning/jobs/{job}")["result_files"]
        ),
        lambda made, job: ids(map(made.client.files.get, made.client.jobs.get(job).result_files)),
        lambda session, _, job: ids(session.get_one(File, id_) for id_ in session.get_one(Job, job).result_files),
    ),
    'FineTuningJob "1" --> "1" Hyperparameters': Relation(
        {"succeeded": 1, "failed": 1},
        lambda made, job: as_text(made.get(f"/fine_tuning/jobs/{job}")["hyperparameters"], HYPERPARAMETERS),
        lambda made, job: as_text(made.client.jobs.get(job).hyperparameters, HYPERPARAMETERS),
        lambda session, _, job: as_text(session.get_one(Job, job).spec["hyperparameters"], HYPERPARAMETERS),
    ),
    'Checkpoint "1" --> "1" Metrics': Relation(
        {"checkpoint": 1},
        lambda made, _: as_text(made.rest("Checkpoint")["metrics"], METRICS),
        lambda made, _: as_text(made.sdk("Checkpoint").metrics, METRICS),
        lambda session, _, id_: as_text(session.get_one(Checkpoint, id_).metrics, METRICS),
    ),
    'Model "1" --> "0..*" Adapter': Relation(
        {"base": 2, "remote": 0},
        lambda made, name: ids(
            each
            for each in made.get("/hub/adapters")["data"]
            if made.get(f"/models/{each['model_id']}")["name"] == name
        ),
        lambda made, name: ids(
            each for each in made.client.hub.adapters() if made.client.models.get(each.model_id).name == name
        ),
        lambda session, made, name: session.scalars(
            select(HubVersion.alias)
            .join(BaseModel, BaseModel.id == HubVersion.base_model_id)
            .where(
                BaseModel.name == name,
                HubVersion.kind == "adapter",
                HubVersion.organization_id == made.organization_id,
            )
        ).all(),
    ),
    'Adapter "1" --> "1" File (dataset)': Relation(
        {"adapter": 1},
        lambda made, _: ids([made.get(f"/files/{made.rest('Adapter')['dataset']}")]),
        lambda made, _: ids([made.client.files.get(made.sdk("Adapter").dataset)]),
        lambda session, _, alias: ids([session.get_one(File, version(session, alias).training_file_id)]),
    ),
    'Adapter "1" --> "1..*" Parameters': Relation(
        {"adapter": None},
        lambda made, _: made.rest("Adapter")["parameters"].keys(),
        lambda made, _: made.sdk("Adapter").parameters.keys(),
        lambda session, _, alias: version(session, alias).parameters.keys(),
    ),
}


def version(session: Session, alias: str) -> HubVersion:
    return session.scalars(select(HubVersion).where(HubVersion.alias == alias)).one()


@pytest.mark.parametrize("line", RELATIONS)
def test_relations_are_as_many_as_the_diagram_says_everywhere(line: str, made: Made, running: Any) -> None:
    relation = RELATIONS[line]
    for owner, number in relation.numbers.items():
        single = {"checkpoint": "Checkpoint", "adapter": "Adapter"}.get(owner)
        id_ = made.rest(single)["id"] if single else getattr(made, owner)
        with running.memory.database.reading() as session:
            kept = sorted(relation.ledger(session, made, id_))
        assert sorted(relation.rest(made, id_)) == sorted(relation.sdk(made, id_)) == kept
        assert len(kept) == number if number is not None else kept, owner


def test_what_belongs_to_a_job_names_it(made: Made) -> None:
    for noun in ("checkpoints", "events"):
        listed = made.get(f"/fine_tuning/jobs/{made.succeeded}/{noun}")["data"]
        assert {each["job_id"] for each in listed} == {made.succeeded}
    assert made.rest("Adapter")["job_id"] == made.succeeded


def test_a_model_stays_while_an_adapter_belongs_to_it(made: Made, operator: Any, running: Any) -> None:
    """No foreign key holds ``base_model_id`` (see ``registry.tables.HubVersion``): whoever deletes is refused."""
    refused = operator.delete(f"/v1/models/{made.base}", headers={"openai-organization": "the-operators"})
    assert refused.status_code == 400 and "is needed by" in refused.json()["error"]["message"]
    model_id = made.rest("Adapter")["model_id"]
    assert made.get(f"/models/{model_id}")["name"] == made.base
    with running.memory.database.reading() as session:
        assert {"the adapter orders", "the adapter returns"} <= set(dependants.of_base_models(session, [model_id]))


def test_a_hub_name_is_one_adapter_with_all_its_versions(member: Any, publish: Any) -> None:
    published = [publish(member, name) for name in ("first", "second", "second")]
    for job in published:
        assert member.http.get(f"/v1/hub/adapters/{job['fine_tuned_model']}").json()["job_id"] == job["id"]
    adapters = member.http.get("/v1/hub/adapters").json()["data"]
    assert [(each["name"], each["versions"]) for each in adapters] == [("second", [2, 1]), ("first", [1])]


@pytest.mark.parametrize(("column", "target"), REFERENCES, ids=lambda column: str(column))
def test_relations_are_kept_by_the_database(column: Any, target: Any) -> None:
    (reference,) = column.property.columns[0].foreign_keys
    assert isinstance(reference, ForeignKey) and reference.column is target.property.columns[0]
    assert not column.property.columns[0].nullable


def test_no_answer_tells_where_things_lie_on_the_server(made: Made, running: Any) -> None:
    folders = (str(running.memory.settings.home), str(running.models))
    told = {name: str(made.rest(name)) for name in ATTRIBUTES}
    assert [name for name, text in told.items() for folder in folders if folder in text] == []
    assert made.rest("File")["path"].startswith(made.rest("FineTuningJob")["organization_id"])
