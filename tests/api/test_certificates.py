"""Proofs on a job over REST: asked for at once, refused in words."""

from __future__ import annotations

import pytest

from registry import certificates


@pytest.fixture
def place(member, public_base_model) -> str:
    body = {"model": public_base_model, "training_file": member.upload()["id"], "name": "to-be-proved"}
    job = member.http.post("/v1/fine_tuning/jobs", json=body).json()
    assert job["status"] == "queued"
    return f"/v1/fine_tuning/jobs/{job['id']}"


def test_a_proof_is_queued_and_listed_with_what_it_says(member, running, place):
    first = member.http.post(f"{place}/verify_resume")
    assert first.status_code == 202
    asked = first.json()
    assert (asked["object"], asked["type"]) == ("fine_tuning.job.certificate", "resume")
    assert (asked["status"], asked["steps"], asked["equal"]) == ("queued", 20, None)
    second = member.http.post(f"{place}/verify_resume", json={"steps": 6}).json()
    document = {"type": "resume", "equal": False, "steps": 6, "resumed_after": 3, "first_difference": None}
    with running.memory.database.session() as session:
        certificates.finish(session, second["id"], "succeeded", document=document)
    page = member.http.get(f"{place}/certificates").json()
    assert [each["id"] for each in page["data"]] == [second["id"], asked["id"]]
    assert (page["data"][0]["status"], page["data"][0]["equal"]) == ("succeeded", False)
    assert page["data"][0]["certificate"] == document
    older = member.http.get(f"{place}/certificates", params={"after": second["id"], "limit": 1}).json()
    assert [each["id"] for each in older["data"]] == [asked["id"]]
    told = member.http.get(f"{place}/events").json()["data"]
    said = [event for event in told if (event["data"] or {}).get("certificate_id") == second["id"]]
    assert said[0]["level"] == "error"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"steps": 1}, "from 2 to 10,000"),
        ({"steps": 10_001}, "from 2 to 10,000"),
        ({"steps": "many"}, "steps"),
        ({"step": 4}, "Did you mean 'steps'?"),
        ([4], "must be a JSON object"),
    ],
)
def test_a_wrong_request_is_refused_in_words(member, place, body, words):
    answer = member.http.post(f"{place}/verify_resume", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert member.http.get(f"{place}/certificates").json()["data"] == []


def test_only_what_was_published_is_reproduced(member, place, publish):
    answer = member.http.post(f"{place}/reproduce")
    assert answer.status_code == 400
    assert "it is queued; only a published one can be reproduced" in answer.json()["error"]["message"]
    published = publish(member, "to-be-reproduced")
    answer = member.http.post(f"/v1/fine_tuning/jobs/{published['id']}/reproduce")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["type"], answer.json()["steps"]) == ("reproduction", None)
