"""Base models of the Hugging Face Hub through the doors: the command line and REST, up to ``ready`` or the reason why not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from afinador import Afinador
from tests.registry.hf_hub import COMMIT, Hub, running_hub

Run = Callable[..., Any]
TOKEN = "hf-secret-word"


@pytest.fixture
def hub(service: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that the service asks, without a token."""
    with running_hub() as server:
        monkeypatch.setattr(service.memory.settings, "hf_endpoint", server.url)
        monkeypatch.setattr(service.memory.settings, "hf_token", None)
        yield server


@pytest.fixture
def http(service: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service.url}/v1", headers={"authorization": f"Bearer {service.key}"}) as client:
        yield client


def settled(http: httpx.Client, name: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while (model := http.get(f"/models/{name}").raise_for_status().json())["status"] == "registering":
        assert time.monotonic() < end
        time.sleep(0.02)
    return dict(model)


def test_a_model_of_the_hub_is_registered_from_the_command_line_and_a_job_begins_with_it(
    online: Run, service: Any, hub: Hub, dataset: Path
) -> None:
    ran = online("create", "base-model", "acme/tiny", "--source", "hf://acme/tiny", "--json")
    assert ran.code == 0 and "Fetching and checking acme/tiny" in ran.err, ran.err
    model = json.loads(ran.out)
    assert (model["status"], model["origin"], model["type"]) == ("ready", "remote", "base")
    assert (model["source"], model["revision"]) == (f"hf://acme/tiny@{COMMIT}", COMMIT)
    assert (model["architecture"], model["parameters"], model["license"]) == ("LlamaForCausalLM", 10, "mit")
    assert model["bytes_done"] == model["bytes"] and len(model["sha256"]) == 64
    shown = online("get", "base-model", "acme/tiny").out
    assert COMMIT in shown and "ready" in shown and "mit" in shown
    with Afinador(service.url, service.key) as client:
        known = client.models.get("acme/tiny")
        assert (known.origin, known.revision, known.sha256) == ("remote", COMMIT, model["sha256"])
    made = online("create", "job", "-basemodel", "acme/tiny", "-dataset", dataset, "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["spec"]["base_model"]["sha256"] == model["sha256"]


def test_a_revision_is_registered_over_rest_with_the_token_of_the_service(
    http: httpx.Client, service: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.memory.settings, "hf_token", SecretStr(TOKEN))
    answer = http.post("/models", json={"name": "acme/tiny", "source": "hf://acme/tiny@v1"})
    assert (answer.status_code, answer.json()["status"]) == (200, "registering")
    model = settled(http, "acme/tiny")
    assert (model["status"], model["origin"], model["revision"]) == ("ready", "remote", COMMIT)
    assert hub.tokens == {f"Bearer {TOKEN}"} and TOKEN not in str(model)
    assert [each["origin"] for each in http.get("/models").json()["data"] if each["name"] == "acme/tiny"] == ["remote"]


@pytest.mark.parametrize(
    ("source", "error", "token", "said"),
    [
        ("hf://acme/tiny", (403, "GatedRepo"), TOKEN, "is gated: accept its terms at {hub}/acme/tiny and give the service"),
        ("hf://acme/other", None, None, "There is no {hub}/acme/other, or it is private and the service has no HF_TOKEN"),
        ("hf://acme/other", None, TOKEN, "or it is private and the service's HF_TOKEN may not read it"),
        ("hf://acme/tiny@v9", None, None, "{hub}/acme/tiny has no revision 'v9'; give a branch, a tag or a commit of it."),
        ("hf://acme/tiny", (401, ""), None, "{hub}/acme/tiny refuses access (HTTP 401): set HF_TOKEN."),
        ("hf://acme/tiny", (401, ""), TOKEN, "refuses access (HTTP 401): set HF_TOKEN to one that is valid."),
    ],
)  # fmt: skip
def test_a_model_that_the_hub_does_not_give_says_why_at_both_doors(
    online: Run, http: httpx.Client, service: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch,
    source: str, error: tuple[int, str] | None, token: str | None, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(service.memory.settings, "hf_token", SecretStr(token) if token else None)
    hub.error, said = error, said.format(hub=hub.url)
    ran = online("create", "base-model", "by-command", "--source", source)
    assert ran.code == 1 and said in ran.err and "by-command cannot be used" in ran.err
    assert http.post("/models", json={"name": "by-rest", "source": source}).is_success
    model = settled(http, "by-rest")
    assert model["status"] == "error" and said in model["status_details"]
    assert TOKEN not in ran.out + ran.err + str(model)
    refused = http.post("/fine_tuning/jobs", json={"model": "by-rest", "training_file": "any"}).json()["error"]
    assert (refused["code"], refused["param"]) == ("model_not_ready", "model") and said in refused["message"]
