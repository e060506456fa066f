from __future__ import annotations

import pytest

NULL_WHEN_OPEN = (
    "finished_at", "estimated_finish", "fine_tuned_model", "trained_tokens", "validation_file", "error", "metadata",
    "integrations", "waiting_for",
)  # fmt: skip


@pytest.fixture
def body(member, public_base_model) -> dict:
    return {"model": public_base_model, "training_file": member.upload()["id"]}


def create(member, body: dict) -> dict:
    answer = member.http.post("/v1/fine_tuning/jobs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_job_is_queued_and_says_that_it_waits_for_prefect(member, body):
    job = create(member, body)
    assert job["status"] == "queued"
    events = member.wait(
        f"/v1/fine_tuning/jobs/{job['id']}/events", lambda page: any("Prefect" in e["message"] for e in page["data"])
    )
    assert "http://127.0.0.1:9" in events["data"][0]["message"]
    assert events["data"][0]["level"] == "warn"
    assert member.http.get(f"/v1/fine_tuning/jobs/{job['id']}").json()["status"] == "queued"


def test_job_of_a_pool_without_workers_says_so_from_its_first_answer_on(member, body, running, monkeypatch):
    monkeypatch.setattr(running.service.health, "workers_online", lambda: {"gpu": 0, "cpu": 1})
    job = create(member, {**body, "pool": "gpu"})
    assert "no worker of the work pool 'gpu' is online" in job["waiting_for"] and "pool: cpu" in job["waiting_for"]
    others = [create(member, {**body, **pool})["waiting_for"] for pool in ({"pool": "cpu"}, {})]
    assert others == [None, None]
    (listed,) = [each for each in member.http.get("/v1/fine_tuning/jobs").json()["data"] if each["id"] == job["id"]]
    assert listed["waiting_for"] == job["waiting_for"]
    member.http.delete(f"/v1/fine_tuning/jobs/{job['id']}")
    assert member.http.get(f"/v1/fine_tuning/jobs/{job['id']}").json()["waiting_for"] is None


def test_an_attention_that_needs_a_gpu_is_refused_where_none_is_and_waits_where_one_is_asked_for(
    member, body, running, monkeypatch
):
    flash = {**body, "config": {"attention": "flash_attention_2"}}
    monkeypatch.setattr(running.service.health, "workers_online", lambda: {"gpu": 0, "cpu": 1})
    refused = member.http.post("/v1/fine_tuning/jobs", json=flash)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "hyperparameters.attention")
    assert "needs a GPU; no worker of the pool 'gpu' is online" in error["message"] and "'sdpa'" in error["message"]
    waits = create(member, {**flash, "pool": "gpu"})
    assert "no worker of the work pool 'gpu' is online" in waits["waiting_for"]
    monkeypatch.setattr(running.service.health, "workers_online", lambda: {"gpu": 1, "cpu": 1})
    assert create(member, flash)["pool"] == "gpu"


def test_job_has_its_nulls(member, body):
    job = create(member, body)
    assert {name: job[name] for name in NULL_WHEN_OPEN} == dict.fromkeys(NULL_WHEN_OPEN)
    assert job["result_files"] == []
    assert job["method"]["type"] == "supervised"


def test_job_answers_to_id_and_name_at_both_places(member, body):
    job = create(member, {**body, "name": "my-job"})
    for path in (f"/v1/fine_tuning/jobs/{job['id']}", "/fine_tuning/jobs/my-job"):
        assert member.http.get(path).json()["id"] == job["id"]


def test_both_bodies_mean_the_same_job(member, body):
    theirs = create(member, {**body, "seed": 7, "hyperparameters": {"n_epochs": 2}})
    ours = create(
        member,
        {"base_model": body["model"], "dataset": "orders", "seed": 7, "hyperparameters": {"epochs": 2}, "tuning_method": "lora"},
    )  # fmt: skip
    for field in (
        "model",
        "base_model",
        "training_file",
        "dataset",
        "seed",
        "hyperparameters",
        "method",
        "tuning_method",
    ):
        assert theirs[field] == ours[field]


def test_job_posted_before_the_verdict_waits_for_it(member, public_base_model, running, monkeypatch):
    held = []
    monkeypatch.setattr(running.service, "check_file", held.append)
    answer = member.http.post(
        "/v1/files", files={"file": ("late.csv", b"text,label\nhola,es\n")}, data={"purpose": "fine-tune"}
    )
    job = create(member, {"model": public_base_model, "training_file": answer.json()["id"]})
    assert job["status"] == "validating_files"
    monkeypatch.undo()
    running.service.check_file(held[0])
    member.wait(f"/v1/fine_tuning/jobs/{job['id']}", lambda seen: seen["status"] == "queued")
    member.wait(
        f"/v1/fine_tuning/jobs/{job['id']}/events", lambda page: any("Prefect" in e["message"] for e in page["data"])
    )


def test_job_whose_file_turns_out_bad_fails_with_the_reason(member, public_base_model, running, monkeypatch):
    held = []
    monkeypatch.setattr(running.service, "check_file", held.append)
    answer = member.http.post(
        "/v1/files", files={"file": ("late.csv", b"text,label\nhola\n,\n")}, data={"purpose": "fine-tune"}
    )
    job = create(member, {"model": public_base_model, "training_file": answer.json()["id"]})
    monkeypatch.undo()
    running.service.check_file(held[0])
    failed = member.wait(f"/v1/fine_tuning/jobs/{job['id']}", lambda seen: seen["status"] != "validating_files")
    assert failed["status"] == "failed"
    assert failed["error"]["param"] == "training_file"
    assert "late.csv" in failed["error"]["message"]


@pytest.mark.parametrize(
    ("change", "status", "param", "says"),
    [
        ({"model": "tiny-lama"}, 404, "model", "tiny-llama"),
        ({"training_file": "order"}, 404, "training_file", "orders"),
        ({"validation_file": "file-none"}, 404, "validation_file", "file-none"),
        ({"modell": "x"}, 400, "modell", "Did you mean 'model'"),
        ({"base_model": "other"}, 400, "base_model", "same field"),
        (
            {"hyperparameters": {"n_epochs": 11}},
            400,
            "hyperparameters.n_epochs",
            "n_epochs is 11; it must be from 1 to 10",
        ),
        ({"hyperparameters": {"epoch": 1}}, 400, "hyperparameters.epoch", "epochs"),
        ({"hyperparameters": {"lora_rank": 3}}, 400, "hyperparameters.lora_rank", "from 4 to 64"),
        ({"hyperparameters": {"learning_rate": 1e-5, "learning_rate_multiplier": 2}}, 400, None, "not both"),
        ({"tuning_method": "magic"}, 400, "tuning_method", "lora"),
        ({"suffix": "s" * 65}, 400, "suffix", "64"),
        ({"seed": -1}, 400, "seed", "0"),
        ({"name": "no spaces please"}, 400, "name", "no spaces please"),
        ({"metadata": {"k": "v" * 513}}, 400, "metadata", "512"),
        ({"method": {"type": "dpo"}}, 400, "method.type", "supervised"),
        ({"integrations": [{"type": "wandb"}]}, 400, "integrations", "MLflow"),
        ({"config": {"packin": True}}, 400, "config.packin", "Did you mean 'packing'"),
        ({"config": {"packing": "perhaps"}}, 400, "config.packing", "it must be true or false"),
        (
            {"config": {"target_modules": [1]}},
            400,
            "config.target_modules",
            "a string or an array in which each",
        ),
        ({"config": {"promote_if": "loss < champion"}}, 400, "config.promote_if", "needs a validation file"),
        ({"config": {"output_dir": "/tmp/x"}}, 400, "config.output_dir", "goes to the hub"),
        ({"config": {"hyperparameters": {"epochs": 11}}}, 400, "config.epochs", "from 1 to 10"),
        ({"config": {"hyperparameters": [1]}}, 400, "config.hyperparameters", "it must be an object"),
        (
            {"config": {"epochs": 2, "hyperparameters": {"epochs": 2}}},
            400,
            "config.hyperparameters.epochs",
            "gives 'epochs' twice",
        ),
        (
            {"config": {"warmup_steps": 2, "warmup_ratio": 0.1}},
            400,
            "config.warmup_ratio",
            "not both",
        ),
        (
            {"config": {"epochs": 2}, "hyperparameters": {"epochs": 11}},
            400,
            "hyperparameters.epochs",
            "from 1 to 10",
        ),
        ({"config": {"epochs": 11}, "hyperparameters": {"epochs": 2}}, 400, "config.epochs", "from 1 to 10"),
        ({"config": {"epochs": 2, "n_epochs": 2}}, 400, "config.epochs", "mean the same"),
    ],
)
def test_bad_job_is_refused_naming_field_and_remedy(member, body, change, status, param, says):
    answer = member.http.post("/v1/fine_tuning/jobs", json={**body, **change})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    if param:
        assert error["param"] == param
    assert says in error["message"]
    assert member.http.get("/v1/fine_tuning/jobs").json()["data"] == []


@pytest.mark.parametrize("missing", ["model", "training_file"])
def test_missing_field_is_named_with_its_other_name(member, body, missing):
    del body[missing]
    error = member.http.post("/v1/fine_tuning/jobs", json=body).json()["error"]
    assert error["param"] == missing
    assert {"model": "base_model", "training_file": "dataset"}[missing] in error["message"]


def test_name_can_be_used_once(member, body):
    create(member, {**body, "name": "once"})
    error = member.http.post("/v1/fine_tuning/jobs", json={**body, "name": "once"}).json()["error"]
    assert error["code"] == "name_taken"


def test_bad_file_is_refused_with_its_verdict(member, public_base_model):
    bad = member.upload("text,label\nhola\n", "bad.csv")
    answer = member.http.post("/v1/fine_tuning/jobs", json={"model": public_base_model, "training_file": bad["id"]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_data"
    assert bad["status_details"] in answer.json()["error"]["message"]


def test_cancel_ends_a_waiting_job_and_twice_changes_nothing(member, body):
    job = create(member, body)
    # The openai client sends a content type and no body.
    for _ in range(2):
        answer = member.http.post(
            f"/v1/fine_tuning/jobs/{job['id']}/cancel", headers={"content-type": "application/json"}
        )
        assert answer.json()["status"] == "cancelled"
    assert answer.json()["finished_at"] is not None
    assert answer.json()["error"] is None


def test_delete_cancels_and_refuses_what_has_ended(member, body):
    job = create(member, body)
    assert member.http.delete(f"/v1/fine_tuning/jobs/{job['name']}").json()["status"] == "cancelled"
    answer = member.http.delete(f"/v1/fine_tuning/jobs/{job['name']}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "illegal_transition"
    assert "record stays" in answer.json()["error"]["message"]
    assert member.http.get(f"/v1/fine_tuning/jobs/{job['id']}").status_code == 200


def test_waiting_job_is_paused_and_resumed_and_twice_changes_nothing(member, body):
    job = create(member, body)
    for verb, status in (("pause", "paused"), ("resume", "queued"), ("pause", "paused")):
        for _ in range(2):
            answer = member.http.post(f"/v1/fine_tuning/jobs/{job['name']}/{verb}")
            assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert member.http.get("/v1/fine_tuning/jobs", params={"status": "paused"}).json()["data"][0]["id"] == job["id"]
    assert member.http.delete(f"/v1/fine_tuning/jobs/{job['id']}").json()["status"] == "cancelled"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_ended_job_is_neither_paused_nor_resumed_and_says_so(member, body, verb):
    job = create(member, body)
    member.http.delete(f"/v1/fine_tuning/jobs/{job['id']}")
    answer = member.http.post(f"/v1/fine_tuning/jobs/{job['id']}/{verb}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "illegal_transition", "job")
    assert "was cancelled" in error["message"] and "paus" in error["message"]


def test_list_filters_by_metadata_and_state(member, body):
    plain = create(member, body)
    red = create(member, {**body, "metadata": {"colour": "red", "odd [key]": ""}})
    create(member, {**body, "metadata": {"colour": "blue"}})

    def listed(**params: str) -> list[str]:
        answer = member.http.get("/v1/fine_tuning/jobs", params=params)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["data"]]

    assert listed(**{"metadata[colour]": "red"}) == [red["id"]]
    assert listed(**{"metadata[odd [key]]": ""}) == [red["id"]]
    assert listed(metadata="null") == [plain["id"]]
    member.http.delete(f"/v1/fine_tuning/jobs/{plain['id']}")
    assert listed(status="cancelled") == [plain["id"]]
    assert len(listed(status="pending")) == 2
    assert listed(status="completed") == []


def test_list_is_newest_first_and_pages_to_its_end(member, body):
    ids = [create(member, body)["id"] for _ in range(5)]
    seen, after = [], None
    for _ in range(3):
        page = member.http.get(
            "/v1/fine_tuning/jobs", params={"limit": 2, **({"after": after} if after else {})}
        ).json()
        seen += [job["id"] for job in page["data"]]
        after = page["data"][-1]["id"]
    assert seen == ids[::-1]
    assert page["has_more"] is False
