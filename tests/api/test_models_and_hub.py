from __future__ import annotations

import hashlib
import shutil

import pytest

from afinador.errors import ServiceUnavailableError

HUB = ("/v1/hub/models", "/v1/hub/adapters")


@pytest.fixture
def source(running, request):
    """A copy of the base model, so that each test has one of its own."""
    folder = running.models / request.node.name
    shutil.copytree(running.models / "tiny", folder)
    return folder


def refused(answer, status: int = 400) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def register(member, source, name: str = "mine") -> dict:
    answer = member.http.post("/v1/models", json={"name": name, "source": str(source)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_base_model_is_registered_at_once_and_ready_a_little_later(member, public_base_model, source):
    created = register(member, source, "acme/mine")
    assert (created["status"], created["type"], created["visibility"]) == ("registering", "base", "private")
    ready = member.wait("/v1/models/acme%2Fmine", lambda model: model["status"] != "registering")
    assert ready["status"] == "ready", ready
    assert ready["parameters"] == 16
    assert ready["sha256"]
    assert ready["owned_by"] == ready["organization_id"] == member.organization["id"]
    assert member.http.get("/v1/models/acme/mine").json()["id"] == ready["id"]
    assert member.http.get(f"/models/{ready['model_id']}").json()["name"] == ready["id"] == "acme/mine"


def test_base_model_can_be_deleted_and_its_folder_stays(member, public_base_model, source):
    register(member, source)
    member.wait("/v1/models/mine", lambda model: model["status"] == "ready")
    assert member.http.delete("/v1/models/mine").json() == {"id": "mine", "object": "model", "deleted": True}
    assert refused(member.http.get("/v1/models/mine"), 404)["code"] == "model_not_found"
    assert (source / "config.json").is_file()


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"source": "/etc"}, 403, "AFINADOR_MODEL_ROOTS"),
        ({"source": "relative/folder"}, 400, "absolute folder"),
        ({"visibility": "public"}, 403, "Only the operator"),
        ({"visibility": "secret"}, 400, "public"),
        ({"name": "a/b/c"}, 400, "name is 'a/b/c'"),
        ({"nme": "x"}, 400, "Did you mean 'name'"),
        ({"source": None}, 400, "source"),
    ],
)
def test_bad_base_model_is_refused_naming_the_remedy(member, running, public_base_model, change, status, says):
    body = {"name": "mine", "source": str(running.models / "tiny"), **change}
    assert says in refused(member.http.post("/v1/models", json=body), status)["message"]


def test_only_the_operator_deletes_a_public_model(member, public_base_model):
    refused(member.http.delete(f"/v1/models/{public_base_model}"), 403)


def test_operator_acts_for_the_organization_of_the_header(operator, public_base_model, member):
    listed = operator.get("/v1/models", headers={"openai-organization": member.organization["name"]}).json()
    assert public_base_model in [model["name"] for model in listed["data"]]
    error = refused(operator.get("/v1/models", headers={"openai-organization": "nobody-here"}), 404)
    assert error["code"] == "organization_not_found"


def test_ids_of_the_list_are_what_one_passes_as_model(member, public_base_model, source, publish):
    def listed() -> dict:
        models = member.openai.models.list().data
        assert len({model.id for model in models}) == len(models)
        return {model.model_id: model.id for model in models}

    public = member.http.get(f"/v1/models/{public_base_model}").json()["model_id"]
    assert listed()[public] == public_base_model
    own = register(member, source, public_base_model)["model_id"]
    assert (listed()[public], listed()[own]) == (public, public_base_model), "the own one hides the public one"
    assert member.openai.models.retrieve(public).id == public
    alias = publish(member, public_base_model)["fine_tuned_model"]
    assert listed()[own] == public_base_model, "a published one hides no base model"
    assert member.openai.models.retrieve(own).id == public_base_model
    assert member.openai.models.retrieve(alias).id == alias


def test_base_model_wins_over_a_result_of_its_name(member, source, publish):
    register(member, source, "orders")
    member.wait("/v1/models/orders", lambda model: model["status"] == "ready")
    alias = publish(member, "orders")["fine_tuned_model"]
    assert member.http.get("/v1/models/orders").json()["type"] == "base"
    assert member.http.get(f"/v1/models/{alias}").json()["type"] == "fine-tuned"
    assert member.http.delete("/v1/models/orders").status_code == 200
    assert member.http.get("/v1/hub/adapters/orders").json()["id"] == alias
    assert member.http.get("/v1/models/orders").json()["type"] == "fine-tuned", "now it alone has the name"


def test_base_model_in_use_cannot_be_deleted(member, public_base_model, source):
    register(member, source)
    member.wait("/v1/models/mine", lambda model: model["status"] == "ready")
    body = {"model": "mine", "training_file": member.upload()["id"], "name": "user"}
    assert member.http.post("/v1/fine_tuning/jobs", json=body).status_code == 200
    error = refused(member.http.delete("/v1/models/mine"))
    assert (error["code"], "user" in error["message"]) == ("in_use", True)


def test_published_adapter_is_found_by_every_name_and_route(member, publish):
    job = publish(member, "orders")
    alias = job["fine_tuned_model"]
    for shelf in HUB:
        for name in ("orders", alias):
            entry = member.http.get(f"{shelf}/{name}").json()
            assert (entry["kind"], entry["object"], entry["id"]) == ("adapter", "hub.adapter", alias)
            assert (entry["version"], entry["versions"], entry["job_id"]) == (1, [1], job["id"])
    assert member.openai.models.retrieve(alias).id == alias
    assert member.http.get("/v1/models/orders").json()["type"] == "fine-tuned"
    assert alias in [model["id"] for model in member.http.get("/v1/models").json()["data"]]


def test_lists_of_models_and_adapters_stay_apart(member, publish):
    publish(member, "small")
    publish(member, "whole", kind="model")
    names = {shelf: [entry["name"] for entry in member.http.get(shelf).json()["data"]] for shelf in HUB}
    assert names == {"/v1/hub/models": ["whole"], "/v1/hub/adapters": ["small"]}


def test_files_of_a_version_arrive_whole(member, publish):
    publish(member, "orders")
    publish(member, "orders")
    listed = member.http.get("/v1/hub/adapters/orders/files", params={"version": 1}).json()["data"]
    assert {"MLmodel", "README.md", "adapter_model.safetensors"} <= {file["path"] for file in listed}
    for file in listed:
        answer = member.http.get(f"/v1/hub/adapters/orders/files/{file['path']}", params={"version": 1})
        assert len(answer.content) == file["bytes"]
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    assert member.http.get("/v1/hub/adapters/orders").json()["versions"] == [2, 1]


def test_only_files_of_the_version_are_given_out(member, publish):
    publish(member, "orders")
    for path in ("weights.bin", "README", "%2e%2e/%2e%2e/secret", "/etc/passwd", "..%2f..%2fledger.db"):
        refused(member.http.get(f"/v1/hub/adapters/orders/files/{path}"), 404)
    assert "README.md" in refused(member.http.get("/v1/hub/adapters/orders/files/README"), 404)["message"]
    assert "it has: 1" in refused(member.http.get("/v1/hub/adapters/orders/files?version=7"), 404)["message"]


def test_deleting_an_alias_removes_one_version_and_a_name_all(member, publish, running):
    first, _ = publish(member, "orders"), publish(member, "orders")
    deleted = member.http.delete(f"/v1/hub/adapters/{first['fine_tuned_model']}").json()
    assert deleted == {"id": first["fine_tuned_model"], "object": "hub.adapter", "deleted": True}
    assert member.http.get("/v1/hub/adapters/orders").json()["versions"] == [2]
    assert member.openai.models.delete("orders").deleted is True
    refused(member.http.get("/v1/hub/adapters/orders"), 404)
    assert running.memory.storage.list(f"{member.organization['id']}/hub") == []


def test_nothing_is_deleted_while_mlflow_is_away(member, publish, running, monkeypatch):
    publish(member, "orders")

    def away() -> None:
        raise ServiceUnavailableError("MLflow is away: its database does not answer.")

    monkeypatch.setattr(running.service.experiments, "get", away)
    answer = member.http.delete("/v1/hub/adapters/orders")
    assert "MLflow" in refused(answer, 503)["message"]
    assert answer.headers["x-should-retry"] == "true"
    assert member.http.get("/v1/hub/adapters/orders/files/README.md").content == b"# A result"


def test_unknown_hub_name_names_the_nearest(member, publish):
    publish(member, "orders")
    assert "'orders'" in refused(member.http.get("/v1/hub/models/order"), 404)["message"]
