"""Data sets, looked at before they are trained on."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}


def test_a_data_set_is_validated_with_and_without_a_tokenizer(member, base_model):
    file = member.upload()
    plain = member.http.post("/v1/datasets/validate", json={"file": file["id"]})
    assert (plain.status_code, plain.json()["valid"], plain.json()["tokens"]) == (200, True, None)
    body = {"file": "orders", "validation_file": file["id"], "base_model": base_model, "max_length": 8}
    answer = member.http.post("/datasets/validate", json=body)
    report = answer.json()
    assert answer.status_code == 200 and (report["object"], report["records"]) == ("dataset.report", 12)
    assert report["tokens"]["usable_length"] == 8 and report["tokens"]["truncated"]["records"] == 12
    assert report["counts"]["lost_prompt"] == 12 and report["validation"]["tokens"] == report["tokens"]
    assert report["validation"]["counts"]["overlap"] == 12 and "overlap" not in report["counts"]
    page = member.http.post("/datasets/validate", json=body, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html") and "max_length" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_status_tells_what_cannot_be_trained_on_and_the_report_is_the_answer(member, base_model):
    member.upload('{"prompt": "a"}\nno json\n', "bad.jsonl")
    answer = member.http.post("/v1/datasets/validate", json={"file": "bad.jsonl", "base_model": base_model})
    assert answer.status_code == 422 and not answer.json()["valid"]
    assert {fault["line"] for fault in answer.json()["errors"]} == {1, 2}
    member.upload("text,label\n" + "".join(f"question {n},card\n" for n in range(12)), "one.csv")
    for task, status in (({}, 422), ({"task": "causal_lm"}, 200), ({"base_model": base_model}, 200)):
        assert member.http.post("/v1/datasets/validate", json={"file": "one.csv", **task}).status_code == status
    member.upload("text,label\n" + "".join(f"other {n},letter\n" for n in range(12)), "held.csv")
    body = {"file": "one.csv", "validation_file": "held.csv", "base_model": base_model}
    assert member.http.post("/v1/datasets/validate", json=body).status_code == 200
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    rows = [CHAT] * 3 + [{**CHAT, "tools": [tool]}]
    member.upload("".join(f"{json.dumps(row)}\n" for row in rows), "tools.jsonl")
    for body, status in (({"file": "tools.jsonl"}, 200), ({"file": "tools.jsonl", "base_model": base_model}, 422)):
        assert member.http.post("/v1/datasets/validate", json=body).status_code == status
    preview = member.http.post("/v1/datasets/preview", json={"file": "tools", "base_model": base_model}).json()
    assert [record["problem"] is None for record in preview["records"]] == [True, True, True, False]


def test_the_validation_file_may_be_read_otherwise(member, base_model):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.csv", "prompt,completion\n1 + 1?,2\n2 + 2?,4\n")
        archive.writestr("test.csv", "prompt,completion\n2 + 2?,4\n")
    member.http.post("/v1/files", files={"file": ("sums.zip", packed.getvalue())}, data={"purpose": "fine-tune"})
    body = {"file": "sums.zip", "validation_reading": {"split": "test"}, "base_model": base_model}
    report = member.http.post("/v1/datasets/validate", json=body).json()
    assert (report["records"], report["validation"]["records"], report["validation"]["tokens"]["records"]) == (2, 1, 1)
    assert report["validation"]["counts"]["overlap"] == 1
    job = {"model": base_model, "training_file": "sums", "validation_reading": {"split": "test"}}
    made = member.http.post("/v1/fine_tuning/jobs", json=job).json()
    assert made["validation_file"] == made["training_file"]
    assert made["spec"]["validation_file"]["reading"] == {"split": "test"} | dict.fromkeys(
        made["spec"]["validation_file"]["reading"].keys() - {"split"}
    )
    for wrong, param in (
        ({"encoding": "utf-8"}, "validation_reading"),
        ({"splt": "test"}, "validation_reading.splt"),
        ({"split": "test", "loader": "acme:read"}, "validation_reading"),
        ("test", "validation_reading"),
    ):
        for route, named in (("datasets/validate", body), ("fine_tuning/jobs", job)):
            answer = member.http.post(f"/v1/{route}", json=named | {"validation_reading": wrong})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_what_was_uploaded_for_something_else_is_looked_at_by_no_route(member, base_model):
    member.upload()
    form = {"files": {"file": ("orders.jsonl", b'{"prompt": "a"}\n')}, "data": {"purpose": "assistants"}}
    other = member.http.post("/v1/files", **form).json()
    by_route = {
        "datasets/validate": {},
        "datasets/preview": {"base_model": base_model},
        "datasets/prepare": {"steps": [{"type": "shuffle"}]},
    }
    for route, body in by_route.items():
        answer = member.http.post(f"/v1/{route}", json={"file": other["id"], **body})
        said = answer.json()["error"]
        assert (answer.status_code, said["param"]) == (400, "file"), said
        assert "uploaded with the purpose 'assistants'; a data set has the purpose 'fine-tune'" in said["message"]
        assert member.http.post(f"/v1/{route}", json={"file": "orders", **body}).status_code in (200, 202)
    assert member.http.get("/v1/files/orders").json()["id"] == other["id"]


def test_a_preview_shows_tokens(member, base_model):
    member.upload()
    body = {"file": "orders.jsonl", "base_model": base_model, "records": 2}
    preview = member.http.post("/v1/datasets/preview", json=body).json()
    assert len(preview["records"]) == 2 and preview["usable_length"] == 512 and preview["total_records"] == 12
    tokens = preview["records"][0]["pieces"][0]
    assert "".join(token["text"] for token in tokens) == "Human: Question 0?\nAssistant: Answer 0.</s>"
    trained = [token["text"] for token in tokens if token["state"] == "trained"]
    assert "".join(trained) == " Answer 0.</s>"
    page = member.http.post("/v1/datasets/preview", json=body, headers={"accept": "text/html"})
    assert 'class="t trained"' in page.text


@pytest.mark.parametrize(
    ("route", "change", "status", "words"),
    [
        ("preview", {"file": "nothing"}, 404, "no file 'nothing'"),
        ("preview", {"base_model": "reel"}, 404, "Did you mean 'real'"),
        ("preview", {"records": 101}, 400, "at most 100"),
        ("preview", {"task": "seq2seq_lm"}, 400, "it must be 'causal_lm' or 'sequence_classification'"),
        ("validate", {"task": "seq2seq_lm"}, 400, "it must be 'causal_lm' or 'sequence_classification'"),
        ("validate", {"file": "a" * 51_000}, 404, "There is no file 'aaaa"),
        ("validate", {"max_length": 4}, 400, "at least 8"),
        ("validate", {"max_lenght": 64}, 400, "Did you mean 'max_length'"),
        ("preview", {"base_model": "tiny-llama"}, 400, "The tokenizer in 'tiny-llama' cannot be read"),
    ],
)
def test_wrong_requests_are_named(member, base_model, public_base_model, route, change, status, words):
    member.upload()
    body = {"file": "orders", "base_model": base_model, **change}
    answer = member.http.post(f"/v1/datasets/{route}", json=body)
    assert answer.status_code == status and words in answer.json()["error"]["message"], answer.text


def test_files_and_base_models_of_others_are_not_found(member, new_member, base_model):
    file = member.upload()
    other = new_member()
    theirs = other.upload()
    for body in ({"file": file["id"]}, {"file": theirs["id"], "validation_file": file["id"]}):
        assert other.http.post("/v1/datasets/validate", json=body).status_code == 404
    for route in ("validate", "preview"):
        answer = other.http.post(f"/v1/datasets/{route}", json={"file": theirs["id"], "base_model": base_model})
        assert answer.status_code == 404 and answer.json()["error"]["param"] == "base_model"


def test_what_a_classifier_does_not_learn_from_has_no_preview_for_one(member, base_model):
    member.upload()
    body = {"file": "orders", "base_model": base_model, "task": "sequence_classification"}
    answer = member.http.post("/v1/datasets/preview", json=body)
    assert answer.status_code == 400, answer.text
    said = "orders.jsonl holds records of the shape prompt_completion; sequence_classification learns from the fields 'text' and 'label'."
    assert said in answer.json()["error"]["message"]


def test_what_nobody_trains_on_yet_has_no_preview(member, base_model):
    pair = {"prompt": "hi", "chosen": "yo", "rejected": "no"}
    file = member.upload(json.dumps(pair) + "\n", "pairs.jsonl")
    answer = member.http.post("/v1/datasets/preview", json={"file": file["id"], "base_model": base_model})
    assert answer.status_code == 400 and "does not train on them" in answer.json()["error"]["message"]
