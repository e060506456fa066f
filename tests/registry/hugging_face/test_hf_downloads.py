"""Base models from the Hugging Face Hub: its protocol, spoken by a small server with the unmodified client."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.prompting import PromptForm
from afinador.errors import InvalidRequestError
from afinador.models.headers import inspect_model_folder
from afinador.models.model_cards import model_card
from afinador.schemas.models import BaseModelRequest, Model
from registry.hugging_face.hf_downloads import parse_source
from registry.ledger.tables import BaseModel, Organization
from registry.memory import Memory
from registry.models import base_models
from tests.registry.conftest import Workshop
from tests.registry.hf_hub import COMMIT, HALF, Hub, running_hub, weights

TOKEN = "hf-secret-word"


@pytest.fixture
def hub(memory: Memory) -> Iterator[Hub]:
    with running_hub() as server:
        memory.settings.hf_endpoint = server.url
        yield server


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


def test_licence_commit_and_hash_of_a_repository_are_passed_on_to_the_card_of_what_is_tuned_from_it(
    workshop: Workshop, acme: Organization, hub: Hub
) -> None:
    row = registered(workshop.memory, acme)
    folder = inspect_model_folder(folder_of(workshop.memory, row))
    assert row.sha256 == folder.sha256
    workshop.upload(acme)
    spec = FineTuningSpec.model_validate(workshop.job(acme, model="acme/tiny", output_model="mine").spec)
    form = PromptForm("question", "{prompt}", has_system=False, stop_tokens=["</s>"], stop_token_ids=[1])
    card = model_card(spec, {}, form)
    assert yaml.safe_load(card.split("---")[1])["license"] == "mit"
    assert f"| base model | hf://acme/tiny@{COMMIT} | `{folder.sha256}` |" in card


def test_only_what_is_needed_and_harmless_is_fetched(memory: Memory, acme: Organization, hub: Hub) -> None:
    row = registered(memory, acme)
    wanted = {"config.json", "tokenizer.json", "README.md", "model.safetensors"}
    assert set(hub.fetched) == wanted
    assert {path.name for path in folder_of(memory, row).iterdir()} == wanted


def test_licence_and_notices_are_fetched_whatever_they_are_called_and_count_as_files_of_the_model(
    memory: Memory, acme: Organization, hub: Hub
) -> None:
    names = {"LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.md", "license", "NOTICE", "NOTICE.txt", "USE_POLICY.md"}
    hub.files |= dict.fromkeys(names, b"terms") | {"LICENSE.py": b"no terms"}
    row = registered(memory, acme)
    assert row.status == "ready", row.status_details
    assert names <= set(row.files or {}) and "LICENSE.py" not in hub.fetched
    assert all((folder_of(memory, row) / name).read_bytes() == b"terms" for name in names)


def test_the_token_is_sent_when_there_is_one_and_no_other_ever(memory: Memory, acme: Organization, hub: Hub) -> None:
    registered(memory, acme)
    assert hub.tokens == {None}
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, "acme/tiny")
    memory.settings.hf_token = SecretStr(TOKEN)
    registered(memory, acme)
    assert f"Bearer {TOKEN}" in hub.tokens


def test_a_broken_connection_is_taken_up_where_it_broke(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.files["model.safetensors"] = weights(HALF)
    hub.breaks_after = HALF
    row = registered(memory, acme)
    assert (row.status, row.status_details) == ("ready", None)
    [again_from] = hub.ranges  # the client keeps pieces of 10 MB
    assert 0 < int(again_from.removeprefix("bytes=").removesuffix("-")) <= HALF
    assert (folder_of(memory, row) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_what_an_ended_process_has_fetched_is_not_fetched_again(
    memory: Memory, acme: Organization, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(base_models, "inspect_model_folder", end)
    with pytest.raises(SystemExit):
        registered(memory, acme)
    monkeypatch.undo()
    with memory.database.reading() as session:
        [unfinished] = base_models.incomplete(session)
    hub.fetched.clear()
    base_models.complete(memory, unfinished)
    with memory.database.reading() as session:
        assert session.get_one(BaseModel, unfinished).status == "ready"
    assert "model.safetensors" not in hub.fetched


def test_bytes_of_another_hash_than_the_hub_tells_are_refused(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.announced_hash = "a" * 64
    row = registered(memory, acme)
    assert row.status == "error"
    assert "model.safetensors arrived with other bytes" in (row.status_details or "")
    assert not folder_of(memory, row).exists()


def test_progress_and_commit_are_seen_from_outside(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.files["model.safetensors"] = weights(HALF)
    hub.may_end.clear()
    with memory.database.session() as session:
        request = BaseModelRequest(name="acme/tiny", source="hf://acme/tiny@v1")
        model_id = base_models.register(session, memory, acme.id, request, operator=False).id
    thread = threading.Thread(target=base_models.complete, args=(memory, model_id))
    thread.start()

    def look() -> Model:
        with memory.database.reading() as session:
            return base_models.to_wire(memory.settings, session.get_one(BaseModel, model_id))

    assert look().status == "registering" and look().revision is None
    end = time.monotonic() + 20
    while (seen := look()).bytes_done in (None, 0) or (seen.bytes_done or 0) < HALF / 2:
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    assert seen.status == "registering"
    assert HALF / 2 < (seen.bytes_done or 0) < (seen.bytes or 0) and (seen.bytes or 0) > 2 * HALF
    hub.may_end.set()
    thread.join()
    done = look()
    assert (done.status, done.bytes_done, done.revision) == ("ready", done.bytes, COMMIT)
    assert done.source == f"hf://acme/tiny@{COMMIT}"


def test_deleting_removes_what_was_fetched(memory: Memory, acme: Organization, hub: Hub) -> None:
    row = registered(memory, acme, f"hf://acme/tiny@{COMMIT}")
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, row.id)
    assert not folder_of(memory, row).exists()


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("hf://acme/other", None, "check the name, or set HF_TOKEN"),
        ("hf://acme/tiny@v9", None, "no revision 'v9'"),
        ("hf://acme/tiny", (401, "RepoNotFound"), "HF_TOKEN may not read it"),
        ("hf://acme/tiny", (403, "GatedRepo"), "accept its terms"),
        ("hf://acme/tiny", (401, ""), "HF_TOKEN"),
        ("hf://acme/tiny", (418, ""), "HTTP 418"),
    ],
)
def test_a_repository_that_cannot_be_had_says_why(
    memory: Memory,
    acme: Organization,
    hub: Hub,
    source: str,
    error: tuple[int, str] | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.error = error
    memory.settings.hf_token = SecretStr(TOKEN)
    row = registered(memory, acme, source)
    assert row.status == "error"
    assert said in (row.status_details or "")
    assert TOKEN not in (row.status_details or "") + caplog.text
    assert not folder_of(memory, row).exists()


@pytest.mark.parametrize(("code", "said"), [("RepoNotFound", "the service has no HF_TOKEN"), ("", "set HF_TOKEN")])
def test_a_missing_token_is_named(memory: Memory, acme: Organization, hub: Hub, code: str, said: str) -> None:
    hub.error = (401, code)
    assert said in (registered(memory, acme).status_details or "")


def test_a_gated_repository_names_the_page_of_its_terms(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.error = (403, "GatedRepo")
    details = registered(memory, acme).status_details or ""
    assert f"accept its terms at {hub.url}/acme/tiny" in details and "HF_TOKEN" in details


def test_a_hub_that_is_away_says_so(memory: Memory, acme: Organization) -> None:
    memory.settings.hf_endpoint = "http://127.0.0.1:9"
    row = registered(memory, acme)
    assert row.status == "error"
    assert "does not answer" in (row.status_details or "")


def test_a_page_in_the_place_of_a_hub_is_told(memory: Memory, acme: Organization) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Please sign in.</html>")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        memory.settings.hf_endpoint = f"http://127.0.0.1:{server.server_port}"
        row = registered(memory, acme)
        server.shutdown()
    assert row.status == "error"
    assert (row.status_details or "").startswith(
        f"{memory.settings.hf_endpoint} answers with something else than a Hugg"
    )


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
