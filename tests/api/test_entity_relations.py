"""The relations of the specification's class diagram, as many as it says: in the API, in the SDK and in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Session

from registry.ledger.tables import BaseModel, Checkpoint, Event, File, HubVersion, Job
from registry.models import dependants
from tests.api.made_entities import Made

REFERENCES = [
    (Checkpoint.job_id, Job.id),
    (Event.job_id, Job.id),
    (Job.training_file_id, File.id),
    (HubVersion.training_file_id, File.id),
    (HubVersion.job_id, Job.id),
]
"""Relations that the database itself holds."""


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


def adapters_of(session: Session, made: Made, name: str) -> Ids:
    """Return the adapters of a base model, or of a model that a job has published."""
    mine = HubVersion.organization_id == made.organization_id
    registered = session.scalars(select(BaseModel.id).where(BaseModel.name == name)).all()
    published = session.scalars(select(HubVersion.id).where(mine, HubVersion.name == name)).all()
    adapters = select(HubVersion.alias).where(mine, HubVersion.kind == "adapter")
    return session.scalars(adapters.where(HubVersion.base_model_id.in_([*registered, *published]))).all()


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
        {"base": 2, "remote": 0, "whole": 2},
        lambda made, name: ids(
            each
            for each in made.get("/hub/adapters")["data"]
            if made.get(f"/models/{each['model_id']}")["name"] == name
        ),
        lambda made, name: ids(
            each for each in made.client.hub.adapters() if made.client.models.get(each.model_id).name == name
        ),
        adapters_of,
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
    """No foreign key holds ``base_model_id`` (see ``registry.ledger.tables.HubVersion``): whoever deletes is refused."""
    refused = operator.delete(f"/v1/models/{made.base}", headers={"openai-organization": "the-operators"})
    assert refused.status_code == 400 and "is needed by" in refused.json()["error"]["message"]
    model_id = made.rest("Adapter")["model_id"]
    assert made.get(f"/models/{model_id}")["name"] == made.base
    with running.memory.database.reading() as session:
        assert {"the adapter orders", "the adapter returns"} <= set(dependants.of_base_models(session, [model_id]))


@pytest.mark.parametrize("adapter", ["on-whole", "further"])
def test_the_model_of_an_adapter_over_an_own_result_answers_to_its_id(adapter: str, made: Made, running: Any) -> None:
    model_id = made.get(f"/hub/adapters/{adapter}")["model_id"]
    model = made.get(f"/models/{model_id}")
    assert (model["model_id"], model["name"], model["type"]) == (model_id, "whole", "fine-tuned")
    assert model == made.get("/models/whole") == made.get(f"/models/{model['id']}")
    assert model_id in {each["model_id"] for each in made.get("/models")["data"]}
    for route in ("models", "adapters"):
        assert made.get(f"/hub/{route}/{model_id}") == made.get("/hub/models/whole")
    entry = made.client.hub.get(adapter)
    assert made.client.models.get(entry.model_id).id == made.client.hub.get(entry.model_id).id == entry.base_model
    assert made.client.hub.files(entry.model_id).first(9) == made.client.hub.files("whole").first(9)
    with running.memory.database.reading() as session:
        assert session.get_one(HubVersion, model_id).alias == model["id"]


def test_an_id_means_one_version_to_a_job_and_to_who_deletes(member: Any, publish: Any) -> None:
    old, new = (publish(member, "twice", "model")["fine_tuned_model"] for _ in range(2))
    model_id = member.http.get(f"/v1/models/{old}").json()["model_id"]
    adapter = publish(member, "of-old", base_model=model_id)
    assert adapter["base_model"] == old
    refused = member.http.delete(f"/v1/hub/models/{model_id}").json()["error"]["message"]
    assert refused == f"{model_id!r} is needed by the adapter of-old. Cancel or delete those first."
    assert member.http.delete(f"/v1/hub/adapters/{adapter['fine_tuned_model']}").status_code == 200
    assert member.http.delete(f"/v1/models/{model_id}").json()["deleted"] is True
    assert member.http.get("/v1/models/twice").json()["id"] == new
    for path in (f"/v1/models/{model_id}", f"/v1/hub/models/{old}"):
        assert member.http.get(path).status_code == 404
    gone = member.http.get(f"/v1/models/{model_id}").json()["error"]
    assert gone["code"] == "model_not_found" and f"was deleted; it was {old!r}" in gone["message"]
    body = {"model": model_id, "training_file": member.upload()["id"]}
    assert member.http.post("/v1/fine_tuning/jobs", json=body).json()["error"]["message"] == gone["message"]
    assert "afinador list hub-adapter` show" in member.http.get("/v1/hub/models/nothing").json()["error"]["message"]


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
