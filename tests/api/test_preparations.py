"""Preparations of data sets over REST: asked for at once, refused in words."""

from __future__ import annotations

import pytest

from registry.creation import preparations

STEPS = [{"type": "filter", "condition": "length > 5"}]


def test_a_preparation_is_queued_listed_and_got(member):
    file = member.upload()
    answer = member.http.post("/v1/datasets/prepare", json={"file": file["id"], "steps": STEPS, "output": "made.csv"})
    assert answer.status_code == 202, answer.text
    asked = answer.json()
    assert (asked["object"], asked["status"], asked["file"]) == ("dataset.preparation", "queued", file["id"])
    assert (asked["pipeline"], asked["output"], asked["steps"], asked["output_files"]) == (STEPS, "made.csv", [], [])
    second = member.http.post("/v1/datasets/prepare", json={"file": file["filename"], "steps": {"steps": STEPS}}).json()
    listed = member.http.get("/v1/datasets/preparations", params={"limit": 1}).json()
    assert ([each["id"] for each in listed["data"]], listed["has_more"]) == ([second["id"]], True)
    assert member.http.get(f"/v1/datasets/preparations/{asked['id']}").json() == asked


@pytest.mark.parametrize(
    ("body", "output"),
    [({"output": "made.csv.gz"}, "made.csv.gz"), ({}, "orders-prepared.jsonl.zst")],
)
def test_a_compressed_output_is_asked_for_by_its_name(member, body, output):
    body = {"file": member.upload(filename="orders.jsonl.zst")["id"], "steps": STEPS, **body}
    answer = member.http.post("/v1/datasets/prepare", json=body)
    assert (answer.status_code, answer.json()["output"]) == (202, output)


def test_a_preparation_is_cancelled_once_and_for_all(member, running):
    asked = member.http.post("/v1/datasets/prepare", json={"file": member.upload()["id"], "steps": STEPS}).json()
    cancel = f"/v1/datasets/preparations/{asked['id']}/cancel"
    for _ in range(2):
        answer = member.http.post(cancel)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
    other = member.http.post("/v1/datasets/prepare", json={"file": asked["file"], "steps": STEPS}).json()
    with running.memory.database.session() as session:
        preparations.finish(session, other["id"], "succeeded")
    answer = member.http.post(f"/v1/datasets/preparations/{other['id']}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "illegal_transition")
    assert f"{other['id']} has succeeded; a preparation can be cancelled while" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changed", "words", "param"),
    [
        ({"steps": [{"type": "filter", "condition": "length >"}]}, "the end stands where", "steps[0].condition"),
        ({"steps": [{"type": "sample", "records": 0}]}, "Step 1 (sample): records is 0", "steps[0].records"),
        ({"steps": [3]}, "The type of step 1 is 3", "steps[0].type"),
        ({"steps": "filter"}, "steps is 'filter'", "steps"),
        ({"steps": {"step": []}}, "Did you mean 'steps'", "step"),
        ({"output": "made"}, "says no format", "output"),
        ({"output": "made.parquet.gz"}, "would be Parquet in a compressed file", "output"),
        ({"step": []}, "Did you mean 'steps'", "step"),
        ({"file": None}, "file", "file"),
    ],
)
def test_a_wrong_request_is_refused_in_words(member, changed, words, param):
    body = {"file": member.upload()["id"], "steps": STEPS, **changed}
    answer = member.http.post("/v1/datasets/prepare", json=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]["message"] and answer.json()["error"]["param"] == param
    assert member.http.get("/v1/datasets/preparations").json()["data"] == []


def test_pairs_are_stored_and_refused_by_jobs(member, public_base_model):
    file = member.upload('{"prompt": "p", "chosen": "good", "rejected": "bad"}\n', filename="pairs.jsonl")
    assert file["status"] == "processed"
    answer = member.http.post("/v1/fine_tuning/jobs", json={"model": public_base_model, "training_file": file["id"]})
    assert answer.status_code == 400
    assert "checked and stored, but this version does not train on them" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "training_file"
