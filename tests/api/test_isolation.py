"""Two organisations never see each other's things."""

from __future__ import annotations

import pytest

from registry import jobs
from registry.job_life import checkpoints

BY_THING = [
    ("GET", "/files/{file}"),
    ("GET", "/files/{filename}"),
    ("GET", "/files/{file}/content"),
    ("DELETE", "/files/{file}"),
    ("GET", "/datasets/preparations/{preparation}"),
    ("POST", "/datasets/preparations/{preparation}/cancel"),
    ("GET", "/fine_tuning/jobs/{job}"),
    ("GET", "/fine_tuning/jobs/{job_name}"),
    ("GET", "/fine_tuning/jobs/{job}/events"),
    ("GET", "/fine_tuning/jobs/{job}/events?follow=true"),
    ("GET", "/fine_tuning/jobs/{job}/checkpoints"),
    ("GET", "/fine_tuning/jobs/{job}/checkpoints/5/files"),
    ("GET", "/fine_tuning/jobs/{job}/checkpoints/5/files/README.md"),
    ("POST", "/fine_tuning/jobs/{job}/checkpoints/5/publish"),
    ("GET", "/fine_tuning/jobs/{job}/certificates"),
    ("POST", "/fine_tuning/jobs/{job}/verify_resume"),
    ("POST", "/fine_tuning/jobs/{job}/reproduce"),
    ("GET", "/fine_tuning/jobs/{job}/metrics"),
    ("GET", "/fine_tuning/jobs/{job}/logs"),
    ("GET", "/fine_tuning/jobs/{job}/report"),
    ("GET", "/fine_tuning/jobs/{job}/logs?follow=true"),
    ("POST", "/fine_tuning/jobs/{job}/cancel"),
    ("POST", "/fine_tuning/jobs/{job}/pause"),
    ("POST", "/fine_tuning/jobs/{job}/resume"),
    ("DELETE", "/fine_tuning/jobs/{job}"),
    ("GET", "/fine_tuning/job_specs/secret-spec"),
    ("GET", "/fine_tuning/job_specs/{job_spec}"),
    ("DELETE", "/fine_tuning/job_specs/secret-spec"),
    ("GET", "/models/{base}"),
    ("GET", "/models/secret-base"),
    ("GET", "/models/{alias}"),
    ("GET", "/models/{checkpoint}"),
    ("DELETE", "/models/{base}"),
    ("DELETE", "/models/{alias}"),
    ("GET", "/hub/models/secret-orders"),
    ("GET", "/hub/adapters/{alias}"),
    ("GET", "/hub/adapters/secret-orders/files"),
    ("GET", "/hub/adapters/secret-orders/files/README.md"),
    ("GET", "/hub/adapters/{alias}/files/README.md?version=1"),
    ("DELETE", "/hub/adapters/secret-orders"),
    ("DELETE", "/hub/models/{alias}"),
]
LISTS = [
    "/files",
    "/fine_tuning/jobs",
    "/fine_tuning/jobs?metadata[team]=secret",
    "/fine_tuning/job_specs",
    "/models",
    "/hub/models",
    "/hub/adapters",
]


@pytest.fixture
def owner(new_member):
    return new_member()


@pytest.fixture
def stranger(new_member):
    return new_member()


@pytest.fixture
def things(owner, running, publish, public_base_model, request) -> dict[str, str]:
    """One of everything, of the owner."""
    file = owner.upload(filename="secret.jsonl")
    body = {
        "model": public_base_model,
        "training_file": file["id"],
        "name": "secret-job",
        "metadata": {"team": "secret"},
    }
    job = owner.http.post("/v1/fine_tuning/jobs", json=body).json()
    request = {"model": public_base_model, "training_file": "secret.jsonl"}
    job_spec = owner.http.post("/v1/fine_tuning/job_specs", json={"name": "secret-spec", "request": request}).json()
    preparation = owner.http.post("/v1/datasets/prepare", json={"file": file["id"], "steps": []}).json()
    published = publish(owner, "secret-orders")
    model = {"name": "secret-base", "source": str(running.models / "tiny")}
    base = owner.http.post("/v1/models", json=model).json()
    with running.memory.database.session() as session:
        row = jobs.get(session, job["organization_id"], job["id"])
        checkpoint = checkpoints.register(session, row, 5, "c/5", {}, 1).name
    return {
        "file": file["id"], "filename": "secret.jsonl", "job": job["id"], "job_name": "secret-job", "base": base["id"],
        "job_spec": job_spec["id"], "preparation": preparation["id"],
        "alias": published["fine_tuned_model"], "checkpoint": checkpoint,
    }  # fmt: skip


def test_what_is_not_ours_does_not_exist(owner, stranger, things):
    for method, path in BY_THING:
        place = "/v1" + path.format(**things)
        answer = stranger.http.request(method, place)
        assert answer.status_code == 404, (method, place, answer.text)
        assert owner.organization["id"] not in answer.text
        assert "Did you mean" not in answer.text, (method, place, answer.text)
    for place in (
        "/v1/fine_tuning/jobs/secret-job",
        f"/v1/files/{things['file']}",
        "/v1/hub/adapters/secret-orders",
        "/v1/fine_tuning/job_specs/secret-spec",
    ):
        assert owner.http.get(place).status_code == 200
    assert owner.http.get("/v1/fine_tuning/jobs/secret-job").json()["status"] == "queued"


def test_lists_hold_only_what_is_ours(owner, stranger, things):
    for path in LISTS:
        answer = stranger.http.get(f"/v1{path}")
        assert answer.status_code == 200
        assert "secret" not in answer.text, path
        assert owner.organization["id"] not in answer.text, path
    assert "secret" in owner.http.get("/v1/hub/adapters").text


def test_pages_cannot_be_entered_by_a_foreign_id(stranger, things):
    for path, after in (("/files", things["file"]), ("/fine_tuning/jobs", things["job"])):
        answer = stranger.http.get(f"/v1{path}", params={"after": after})
        assert answer.status_code == 400


def test_jobs_cannot_use_what_is_not_ours(stranger, things, public_base_model):
    mine = stranger.upload()["id"]
    for body in (
        {"model": public_base_model, "training_file": things["file"]},
        {"model": public_base_model, "training_file": mine, "validation_file": things["file"]},
        {"model": things["base"], "training_file": mine},
        {"model": "secret-base", "training_file": mine},
    ):
        assert stranger.http.post("/v1/fine_tuning/jobs", json=body).status_code == 404, body
        wanted = {"name": "mine", "request": body}
        assert stranger.http.post("/v1/fine_tuning/job_specs", json=wanted).status_code == 404, body


def test_organizations_and_keys_are_the_operators(stranger, owner):
    for method, path in (
        ("GET", "/organizations"), ("POST", "/organizations"), ("GET", "/api_keys"), ("POST", "/api_keys"),
        ("DELETE", "/api_keys/key_x"), ("PATCH", "/organizations/default"),
    ):  # fmt: skip
        answer = stranger.http.request(method, f"/v1{path}", json={} if method in ("POST", "PATCH") else None)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "permission_denied"


def test_operator_owns_nothing(operator, things):
    for path in ("/files", "/fine_tuning/jobs", "/hub/models", f"/files/{things['file']}"):
        answer = operator.get(f"/v1{path}")
        assert answer.status_code == 403
        assert "/v1/api_keys" in answer.json()["error"]["message"]


def test_key_is_shown_once_and_kept_as_a_hash(operator, owner, running):
    listed = operator.get("/v1/api_keys", params={"organization": owner.organization["name"]}).json()["data"]
    assert [key["key"] for key in listed] == [None]
    assert owner.key.startswith(listed[0]["prefix"])
    ledger = running.memory.settings.home / "ledger.db"
    written = b"".join(path.read_bytes() for path in ledger.parent.glob("ledger.db*"))
    assert owner.key.encode() not in written


def test_limit_and_priority_of_an_organization_are_set_and_checked(operator, owner):
    path = f"/v1/organizations/{owner.organization['name']}"
    changed = operator.patch(path, json={"concurrency_limit": 3, "priority": -2}).json()
    assert (changed["concurrency_limit"], changed["priority"]) == (3, -2)
    assert operator.patch(path, json={"concurrency_limit": None}).json() == {**changed, "concurrency_limit": None}
    for body, param in (
        ({"concurrency_limit": 0}, "concurrency_limit"), ({"priority": 1.5}, "priority"), ({"priority": None}, "priority"),
        ({"prority": 1}, "prority"),
    ):  # fmt: skip
        refused = operator.patch(path, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert operator.patch("/v1/organizations/nobody", json={"priority": 1}).status_code == 404
    assert operator.patch(path, json={"priority": 0}).json()["priority"] == 0


def test_organization_names_are_unique_and_checked(operator, owner):
    taken = operator.post("/v1/organizations", json={"name": owner.organization["name"]})
    assert taken.json()["error"]["code"] == "name_taken"
    bad = operator.post("/v1/organizations", json={"name": "No Spaces"})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "name")
    unknown = operator.post("/v1/api_keys", json={"organization": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "organization_not_found")
