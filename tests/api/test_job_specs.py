"""Saved job specs over HTTP."""

from __future__ import annotations

import pytest

from afinador import Afinador


@pytest.fixture
def request_body(member, public_base_model):
    member.upload()
    return {"base_model": public_base_model, "dataset": "orders", "hyperparameters": {"n_epochs": 2}}


def test_a_spec_is_saved_listed_found_and_deleted(member, request_body, public_base_model):
    body = {"name": "nightly", "request": request_body}
    saved = member.http.post("/v1/fine_tuning/job_specs", json=body).json()
    assert saved == {
        "id": saved["id"],
        "object": "fine_tuning.job_spec",
        "name": "nightly",
        "organization_id": member.organization["id"],
        "created_at": saved["created_at"],
        "request": {
            "model": public_base_model,
            "training_file": "orders",
            "hyperparameters": {"n_epochs": 2},
            "tags": [],
        },
        "retrain_on_update": True,
    }
    for reference in ("nightly", saved["id"]):
        assert member.http.get(f"/fine_tuning/job_specs/{reference}").json() == saved
    listed = member.http.get("/v1/fine_tuning/job_specs").json()
    assert (listed["object"], listed["data"], listed["has_more"]) == ("list", [saved], False)
    deleted = member.http.delete("/v1/fine_tuning/job_specs/nightly").json()
    assert deleted == {"id": saved["id"], "object": "fine_tuning.job_spec", "deleted": True}
    assert member.http.get("/v1/fine_tuning/job_specs/nightly").status_code == 404


def test_specs_come_in_pages(member, request_body):
    for number in range(3):
        body = {"name": f"spec-{number}", "request": request_body, "retrain_on_update": False}
        assert member.http.post("/v1/fine_tuning/job_specs", json=body).status_code == 200
    first = member.http.get("/v1/fine_tuning/job_specs", params={"limit": 2}).json()
    assert ([spec["name"] for spec in first["data"]], first["has_more"]) == (["spec-2", "spec-1"], True)
    rest = member.http.get("/v1/fine_tuning/job_specs", params={"after": first["last_id"]}).json()
    assert [spec["name"] for spec in rest["data"]] == ["spec-0"]


@pytest.mark.parametrize(
    ("change", "status", "param", "said"),
    [
        ({"name": "two words"}, 400, "name", "two words"),
        ({"nmae": "x"}, 400, "nmae", "'name'"),
        ({"request": "nightly"}, 400, "request", "nightly"),
        ({"request": {}}, 400, "request.model", "base_model"),
        ({"request": {"base_model": "tiny-llama", "dataset": "ordrs"}}, 404, "request.training_file", "orders.jsonl"),
        ({"request": {"base_model": "tiny-llama", "dataset": "orders", "lora": 1}}, 400, "request.lora", "'lora'"),
    ],
)
def test_what_is_wrong_is_named(member, request_body, change, status, param, said):
    answer = member.http.post("/v1/fine_tuning/job_specs", json={"name": "nightly", "request": request_body} | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error
    assert said in error["message"]


def test_a_job_is_made_of_a_spec_and_what_is_given_beside_it(member, request_body, public_base_model):
    saved = member.http.post("/v1/fine_tuning/job_specs", json={"name": "nightly", "request": request_body}).json()
    job = member.http.post("/v1/fine_tuning/jobs", json={"job_spec": "nightly"}).json()
    assert (job["job_spec"], job["model"], job["hyperparameters"]["epochs"]) == ("nightly", public_base_model, 2)
    assert member.http.get(f"/v1/fine_tuning/jobs/{job['id']}").json()["job_spec"] == "nightly"
    other = member.upload(filename="other.jsonl")
    beside = {"job_spec": saved["id"], "dataset": other["id"], "hyperparameters": {"epochs": 3}, "seed": None}
    changed = member.http.post("/v1/fine_tuning/jobs", json=beside).json()
    assert (changed["job_spec"], changed["dataset"]) == ("nightly", other["id"])
    assert changed["hyperparameters"]["epochs"] == 3
    own = member.openai.fine_tuning.jobs.create(
        model=public_base_model, training_file="orders", extra_body={"job_spec": "nightly"}
    )
    assert own.hyperparameters.n_epochs == 2
    with Afinador(str(member.http.base_url), member.key) as client:
        assert client.jobs.create(job_spec="nightly", suffix="mine").job_spec == "nightly"


@pytest.mark.parametrize(
    ("body", "status", "param", "said"),
    [
        (
            {"job_spec": "nigthly"},
            404,
            "job_spec",
            "`afinador list job-spec` shows what it has. Did you mean 'nightly'?",
        ),
        ({"job_spec": ["nightly"]}, 400, "job_spec", "nightly"),
        ({"job_spec": "nightly", "trainig_file": "a"}, 400, "trainig_file", "Did you mean 'training_file'"),
        ({"job_spec": "nightly", "dataset": "ordrs"}, 404, "training_file", "There is no"),
        ({"job_spec": None}, 400, "model", "required"),
        ({"model": "tiny-llama"}, 400, "training_file", "required"),
    ],
)
def test_a_job_of_a_spec_that_cannot_be_made_says_why(member, request_body, body, status, param, said):
    member.http.post("/v1/fine_tuning/job_specs", json={"name": "nightly", "request": request_body})
    answer = member.http.post("/v1/fine_tuning/jobs", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param) and said in error["message"], error
    assert "saved spec" not in error["message"]


def test_what_a_spec_names_and_is_gone_is_told_with_the_spec(member, request_body):
    member.http.post("/v1/fine_tuning/job_specs", json={"name": "nightly", "request": request_body})
    member.http.delete("/v1/files/orders")
    answer = member.http.post("/v1/fine_tuning/jobs", json={"job_spec": "nightly", "seed": 1})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("The saved spec 'nightly' cannot be run: There is no")
    body = {"name": "of-it", "request": {"job_spec": "nightly"}}
    refused = member.http.post("/v1/fine_tuning/job_specs", json=body).json()["error"]
    assert refused["param"] == "request.job_spec" and "give the fields themselves" in refused["message"]


def test_a_name_in_use_is_refused_with_the_remedy(member, request_body):
    body = {"name": "nightly", "request": request_body}
    assert member.http.post("/v1/fine_tuning/job_specs", json=body).status_code == 200
    error = member.http.post("/v1/fine_tuning/job_specs", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("name_taken", "name") and "delete it first" in error["message"]


def test_an_upload_does_not_wait_for_prefect(member, request_body, running):
    """Prefect is not there at all in these tests."""
    second = member.upload(filename="orders.jsonl", text='{"prompt": "a", "completion": "b"}\n' * 12)
    assert second["version"] == 2 and second["status"] == "processed"
