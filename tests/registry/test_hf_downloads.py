"""Base models from the Hugging Face Hub: its protocol, spoken by a small server with the unmodified client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from afinador.errors import InvalidRequestError
from afinador.schemas.models import BaseModelRequest
from registry import base_models
from registry.hf_downloads import parse_source
from registry.memory import Memory
from registry.tables import BaseModel, Organization

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf-secret-word"


def weights(parameters: int) -> bytes:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(2 * parameters)


GOOD_FILES = {
    "config.json": json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}).encode(),
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": weights(10),
    "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": weights(10),
    "modeling_tiny.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}


class Hub(ThreadingHTTPServer):
    """The read side of the Hub, with one repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = dict(GOOD_FILES)
        self.error: tuple[int, str] | None = None
        self.parameters: int | None = None
        self.fetched: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        path = self.path.partition("?")[0]
        if path.startswith("/api/agent-harnesses"):
            self._send(404, b"{}")
        elif self.server.error is not None:
            status, code = self.server.error
            self._send(status, b"{}", {"X-Error-Code": code} if code else {})
        elif not path.startswith(("/api/models/acme/tiny", "/acme/tiny/resolve/")):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/acme/tiny/revision/"):
            known = path.endswith(("/main", f"/{COMMIT}", "/v1"))
            self._send(*((200, self._info()) if known else (404, b"{}", {"X-Error-Code": "RevisionNotFound"})))
        elif path.startswith("/api/models/acme/tiny/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.server.files.items()
            ]
            self._send(200, json.dumps(entries).encode())
        else:
            name = path.split("/", 5)[5]
            content = self.server.files[name]
            self.server.fetched.append(name)
            self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})

    def _info(self) -> bytes:
        siblings = [{"rfilename": name, "size": len(content)} for name, content in self.server.files.items()]
        info: dict[str, Any] = {"id": "acme/tiny", "sha": COMMIT, "private": False, "siblings": siblings}
        if self.server.parameters is not None:
            info["safetensors"] = {"parameters": {"BF16": self.server.parameters}, "total": self.server.parameters}
        return json.dumps(info).encode()

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(memory: Memory) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    memory.settings.hf_endpoint = server.url
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def registered(memory: Memory, organization: Organization, source: str = "hf://acme/tiny") -> BaseModel:
    """Register, fetch, and return the row as it is afterwards."""
    request = BaseModelRequest(name="acme/tiny", source=source)
    with memory.database.session() as session:
        row = base_models.register(session, memory, organization.id, request, operator=False)
    assert row.status == "registering"
    base_models.complete(memory, row.id)
    with memory.database.reading() as session:
        return session.get_one(BaseModel, row.id)


def folder_of(memory: Memory, row: BaseModel) -> Path:
    return memory.settings.home / "base-models" / row.id


def test_a_repository_is_fetched_pinned_and_described(memory: Memory, acme: Organization, hub: Hub) -> None:
    row = registered(memory, acme)
    assert (row.status, row.status_details, row.origin) == ("ready", None, "remote")
    assert row.source == f"hf://acme/tiny@{COMMIT}"
    assert (row.architecture, row.parameters, row.license) == ("LlamaForCausalLM", 10, "mit")
    assert row.path == str(folder_of(memory, row))


def test_only_what_is_needed_and_harmless_is_fetched(memory: Memory, acme: Organization, hub: Hub) -> None:
    row = registered(memory, acme)
    wanted = {"config.json", "tokenizer.json", "README.md", "model.safetensors"}
    assert set(hub.fetched) == wanted
    assert {path.name for path in folder_of(memory, row).iterdir()} == wanted


def test_the_token_is_sent_when_there_is_one_and_no_other_ever(memory: Memory, acme: Organization, hub: Hub) -> None:
    registered(memory, acme)
    assert hub.tokens == {None}
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, "acme/tiny")
    memory.settings.hf_token = SecretStr(TOKEN)
    registered(memory, acme)
    assert f"Bearer {TOKEN}" in hub.tokens


def test_deleting_removes_what_was_fetched(memory: Memory, acme: Organization, hub: Hub) -> None:
    row = registered(memory, acme, f"hf://acme/tiny@{COMMIT}")
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, row.id)
    assert not folder_of(memory, row).exists()


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("hf://acme/other", None, "There is no http"),
        ("hf://acme/tiny@v9", None, "no revision 'v9'"),
        ("hf://acme/tiny", (401, "RepoNotFound"), "HF_TOKEN may not read it"),
        ("hf://acme/tiny", (403, "GatedRepo"), "accept its terms"),
        ("hf://acme/tiny", (401, ""), "HF_TOKEN"),
        ("hf://acme/tiny", (418, ""), "HTTP 418"),
    ],
)
def test_a_repository_that_cannot_be_had_says_why(
    memory: Memory, acme: Organization, hub: Hub, source: str, error: tuple[int, str] | None, said: str
) -> None:
    hub.error = error
    memory.settings.hf_token = SecretStr(TOKEN)
    row = registered(memory, acme, source)
    assert row.status == "error"
    assert said in (row.status_details or "")
    assert TOKEN not in (row.status_details or "")
    assert not folder_of(memory, row).exists()


def test_a_hub_that_is_away_says_so(memory: Memory, acme: Organization) -> None:
    memory.settings.hf_endpoint = "http://127.0.0.1:9"
    row = registered(memory, acme)
    assert row.status == "error"
    assert "does not answer" in (row.status_details or "")


def test_a_repository_without_safetensors_is_refused_before_anything_is_fetched(
    memory: Memory, acme: Organization, hub: Hub
) -> None:
    del hub.files["model.safetensors"]
    row = registered(memory, acme)
    assert "holds no model.safetensors" in (row.status_details or "")
    assert hub.fetched == []


def test_more_than_15_billion_parameters_are_refused_before_anything_is_fetched(
    memory: Memory, acme: Organization, hub: Hub
) -> None:
    hub.parameters = 70_000_000_000
    row = registered(memory, acme)
    assert "70.0B" in (row.status_details or "")
    assert hub.fetched == []


def test_a_repository_that_runs_code_is_refused_and_its_files_removed(
    memory: Memory, acme: Organization, hub: Hub
) -> None:
    hub.files["config.json"] = json.dumps(
        {"architectures": ["X"], "auto_map": {"AutoModel": "modeling_tiny.X"}}
    ).encode()
    row = registered(memory, acme)
    assert "code of its own" in (row.status_details or "")
    assert not folder_of(memory, row).exists()


@pytest.mark.parametrize(
    "source", ["hf://tiny", "hf://acme/tiny@", "hf://acme/tiny/sub", "hf://acme/../x", "hf://../x", "hf://"]
)
def test_other_forms_of_a_source_are_refused(source: str) -> None:
    with pytest.raises(InvalidRequestError, match="hf://owner/name"):
        parse_source(source)
