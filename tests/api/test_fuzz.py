"""No body, however odd, makes a fault of ours: it is taken or refused."""

from __future__ import annotations

import json
import random

import pytest

from afinador.schemas.jobs import JobRequest
from afinador.schemas.models import BaseModelRequest
from afinador.schemas.organizations import ApiKeyRequest, OrganizationRequest

ODD_VALUES = [
    None, True, False, 0, -1, 1.5, 1e400, -(2**63), 2**63 - 1, "", " ", "auto", "x" * 10_000, "\u202e☕\n\t", "../..", "%00", "null",
    [], [None], [[]], [{}], {}, {"type": None}, {"type": "supervised"}, {"type": []}, {"type": "supervised", "supervised": []},
    {"type": "supervised", "supervised": "x"}, {"type": "supervised", "supervised": {"hyperparameters": []}},
    {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": {}}}}, {"": ""}, {"epochs": None},
    {"epochs": "2"}, {"epochs": [1]}, {"epochs": {}}, {"epochs": True}, {"epochs": 1e308}, {"learning_rate": "nan"}, {"learning_rate": "auto"},
    {"learning_rate_multiplier": "x"}, {"learning_rate_multiplier": []}, {"learning_rate_multiplier": 1e-300}, {"tuning_method": []},
    {"tuning_method": 7}, {"task": {}}, {"target_modules": 7}, {"target_modules": [[]]}, {"modules_to_save": {}}, {"lr_scheduler": []},
    {"precision": {}}, {"group_by_length": "maybe"}, {"key": 1}, {"key": None}, {"k" * 1000: "v"}, {"micro_batch_size": 0},
    {"batch_size": "auto"}, {"warmup_ratio": [], "warmup_steps": 3}, {"lora_alpha": "x"}, {"lora_alpha": None},
]  # fmt: skip
JOB_FIELDS = [*JobRequest.model_fields, "base_model", "dataset", "validation_dataset", "unknown"]


def body_text(body: dict) -> bytes:
    return json.dumps(body).encode()


def assert_taken_or_refused(answer, body: dict) -> None:
    assert answer.status_code in (200, 400, 403, 404), (body, answer.status_code, answer.text[:500])
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.json()["error"]["message"]


@pytest.fixture
def body(member, public_base_model) -> dict:
    return {"model": public_base_model, "training_file": member.upload()["id"]}


@pytest.mark.parametrize("field", JOB_FIELDS)
def test_odd_value_in_a_field_of_a_job_is_no_fault_of_ours(member, body, field):
    for value in ODD_VALUES:
        odd = {**body, field: value}
        assert_taken_or_refused(member.http.post("/v1/fine_tuning/jobs", content=body_text(odd)), odd)


@pytest.mark.parametrize("key", ["epochs", "learning_rate", "target_modules", "precision", "lora_rank", "warmup_ratio"])
def test_odd_hyperparameter_is_no_fault_of_ours(member, body, key):
    for number, value in enumerate(ODD_VALUES):
        odd = {**body, ("hyperparameters", "config")[number % 2]: {key: value}}
        assert_taken_or_refused(member.http.post("/v1/fine_tuning/jobs", content=body_text(odd)), odd)


def test_random_bodies_are_no_fault_of_ours(member, body):
    source = random.Random(20)
    for _ in range(60):
        odd = {field: source.choice(ODD_VALUES) for field in source.sample(JOB_FIELDS, source.randint(0, 5))}
        odd = {**body, **odd} if source.random() < 0.8 else odd
        assert_taken_or_refused(member.http.post("/v1/fine_tuning/jobs", content=body_text(odd)), odd)


@pytest.mark.parametrize(
    ("path", "schema"),
    [("/v1/models", BaseModelRequest), ("/v1/organizations", OrganizationRequest), ("/v1/api_keys", ApiKeyRequest)],
)
def test_odd_bodies_elsewhere_are_no_fault_of_ours(member, operator, running, path, schema):
    good = {"name": "good", "source": str(running.models), "organization": member.organization["name"]}
    good = {key: value for key, value in good.items() if key in schema.model_fields}
    for field in [*schema.model_fields, "unknown"]:
        for value in [*ODD_VALUES[:20], "hf://", "hf://a/b@", "s3://x/y", "/", "~"]:
            odd = {**good, field: value}
            assert_taken_or_refused(operator.post(path, content=body_text(odd)), odd)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files", "/v1/fine_tuning/jobs", "/v1/models", "/v1/hub/models", "/v1/files/%00", "/v1/files/%ff", "/v1/models/%2e%2e/x",
        "/v1/fine_tuning/jobs/%2F", "/v1/hub/models/a/files/../../x", "/v1/hub/adapters/%00/files", "/v1/files/" + "x" * 5000,
    ],
)  # fmt: skip
def test_odd_queries_and_paths_are_no_fault_of_ours(member, path):
    for query in ("", "?limit=", "?limit=-1", "?after=%00", "?after=", "?metadata[]=x", "?metadata[%22]=x", "?order=", "?status=%00",
                  "?metadata[a%00]=b", "?limit=1&limit=2", "?version=x", "?follow=maybe", "?%ff=%fe", "?metadata[a.b[0]]=x"):  # fmt: skip
        assert_taken_or_refused(member.http.get(path + query), {"path": path + query})
