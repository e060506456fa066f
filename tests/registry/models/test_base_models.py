"""Base models from a folder; those of the Hugging Face Hub are in ``test_hf_downloads``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import (
    InUseError,
    InvalidRequestError,
    ModelTooLargeError,
    NameTakenError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedModelError,
)
from afinador.models.headers import inspect_model_folder
from afinador.schemas.models import BaseModelRequest
from registry.ledger.tables import BaseModel, HubVersion, Organization
from registry.memory import Memory
from registry.models import base_models


def write_model(folder: Path, parameters: int = 6) -> Path:
    """Write a model of zeros; the file is sparse, so it may be of any size."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    size = 2 * parameters
    header = json.dumps({"a": {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + size)
    return folder


@pytest.fixture
def models(tmp_path: Path, memory: Memory) -> Path:
    """The folder from which models may be registered."""
    memory.settings.model_roots = [tmp_path / "models"]
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def tiny(models: Path) -> Path:
    return write_model(models / "tiny")


def register(
    memory: Memory, organization: Organization, source: object, name: str = "tiny", operator: bool = False, **more: Any
) -> BaseModel:
    request = BaseModelRequest(name=name, source=str(source), **more)
    with memory.database.session() as session:
        return base_models.register(session, memory, organization.id, request, operator=operator)


def found(memory: Memory, organization: Organization, name: str) -> BaseModel:
    with memory.database.reading() as session:
        return base_models.find(session, memory, organization.id, name)


def test_a_folder_is_described_at_once_and_ready_when_hashed(memory: Memory, acme: Organization, tiny: Path) -> None:
    row = register(memory, acme, tiny)
    assert (row.status, row.architecture, row.parameters) == ("registering", "LlamaForCausalLM", 6)
    assert (row.task, row.license, row.origin, row.path) == ("causal_lm", "mit", "local", str(tiny))
    with memory.database.reading() as session:
        assert base_models.incomplete(session) == [row.id]
    base_models.complete(memory, row.id)
    row = found(memory, acme, "tiny")
    assert (row.status, row.sha256) == ("ready", inspect_model_folder(tiny).sha256)
    assert set(row.files or {}) == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    with memory.database.reading() as session:
        assert base_models.incomplete(session) == []


def test_a_model_is_found_by_id_and_name_and_answered_with_both(memory: Memory, acme: Organization, tiny: Path) -> None:
    row = register(memory, acme, tiny, "acme/tiny")
    assert found(memory, acme, row.id).id == found(memory, acme, "acme/tiny").id == row.id
    wire = base_models.to_wire(memory.settings, row)
    assert (wire.id, wire.name, wire.type, wire.parameters) == ("acme/tiny", "acme/tiny", "base", 6)
    assert (wire.model_id, wire.source) == (row.id, "folder")
    assert str(tiny) not in wire.model_dump_json(), "public ones are seen by everybody"
    assert wire.created == wire.created_at == int(row.created_at)


def test_an_alias_of_the_operator_leads_to_its_model_but_never_hides_one(
    memory: Memory, acme: Organization, tiny: Path
) -> None:
    memory.operator["model_aliases"] = {"gpt-4o-mini": "tiny", "other": "tiny"}
    row = register(memory, acme, tiny)
    assert found(memory, acme, "gpt-4o-mini").id == row.id
    other = register(memory, acme, tiny, "other")
    assert found(memory, acme, "other").id == other.id


def test_an_alias_of_no_model_says_so_and_is_not_proposed(memory: Memory, acme: Organization, tiny: Path) -> None:
    memory.operator["model_aliases"] = {"gpt-4o-mini": "gone"}
    register(memory, acme, tiny, "gone-7b")
    said = "^'gpt-4o-mini' is the operator's alias of 'gone', which is not registered. Did you mean 'gone-7b'? Register"
    with pytest.raises(NotFoundError, match=said.replace("?", r"\?")):
        found(memory, acme, "gpt-4o-mini")
    with pytest.raises(NotFoundError, match=r"no base model 'gpt-4o-min'\. Registered are: gone-7b\. Register"):
        found(memory, acme, "gpt-4o-min")


def test_an_unknown_model_is_answered_with_the_nearest_names(memory: Memory, acme: Organization, tiny: Path) -> None:
    register(memory, acme, tiny, "tiny-llama")
    with pytest.raises(NotFoundError, match="Did you mean 'tiny-llama'") as caught:
        found(memory, acme, "tiny-lama")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_an_unknown_model_with_nothing_near_is_answered_with_those_that_there_are(
    memory: Memory, acme: Organization, tiny: Path
) -> None:
    with pytest.raises(NotFoundError, match="None is registered yet"):
        found(memory, acme, "bert-base-uncased")
    for number in range(7):
        register(memory, acme, tiny, f"zzz{number}")
    with pytest.raises(NotFoundError, match=r"Registered are: zzz0, zzz1, zzz2, zzz3, zzz4 and 2 more\."):
        found(memory, acme, "bert-base-uncased")


def test_private_models_are_the_organizations_own_and_public_ones_are_everybodys(
    memory: Memory, acme: Organization, globex: Organization, tiny: Path
) -> None:
    private = register(memory, acme, tiny, "private")
    public = register(memory, acme, tiny, "public", operator=True, visibility="public")
    for name in ("private", private.id):
        with pytest.raises(NotFoundError):
            found(memory, globex, name)
    assert found(memory, globex, "public").id == public.id
    own = register(memory, globex, tiny, "public")
    assert found(memory, globex, "public").id == own.id, "the own one comes first"
    assert found(memory, acme, "public").id == public.id
    with memory.database.reading() as session:
        assert [row.id for row in base_models.list_all(session, globex.id)] == [public.id, own.id]
        assert [row.name for row in base_models.list_all(session, acme.id)] == ["private", "public"]


def test_only_the_operator_makes_public_models(memory: Memory, acme: Organization, tiny: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="Only the operator"):
        register(memory, acme, tiny, visibility="public")


def test_a_name_is_given_once_in_an_organization(
    memory: Memory, acme: Organization, globex: Organization, tiny: Path
) -> None:
    register(memory, acme, tiny)
    with pytest.raises(NameTakenError, match="'tiny'"):
        register(memory, acme, tiny)
    assert register(memory, globex, tiny).name == "tiny"


def test_folders_outside_the_roots_are_refused_whether_they_exist_or_not(
    memory: Memory, acme: Organization, tmp_path: Path, models: Path
) -> None:
    outside = write_model(tmp_path / "outside")
    (models / "link").symlink_to(outside)
    for source in (outside, models / ".." / "outside", models / "link", tmp_path / "nowhere", f"{models}-beside"):
        with pytest.raises(PermissionDeniedError, match="AFINADOR_MODEL_ROOTS") as caught:
            register(memory, acme, source)
        assert str(source) in caught.value.message, "as it was given, whatever a link in it leads to"
        assert caught.value.message.count(str(tmp_path)) == 1


def test_a_link_inside_a_folder_that_leads_out_is_refused(
    memory: Memory, acme: Organization, tmp_path: Path, tiny: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (tiny / "generation_config.json").symlink_to(secret)
    with pytest.raises(PermissionDeniedError, match=r"^generation_config\.json of 'tiny' lies outside") as caught:
        register(memory, acme, tiny)
    assert str(tmp_path) not in caught.value.message


def test_a_folder_of_links_within_the_roots_is_taken(memory: Memory, acme: Organization, models: Path) -> None:
    blobs = write_model(models / "blobs")
    snapshot = models / "snapshot"
    snapshot.mkdir()
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(os.path.relpath(file, snapshot))
    row = register(memory, acme, snapshot)
    base_models.complete(memory, row.id)
    assert found(memory, acme, "tiny").status == "ready"


@pytest.mark.parametrize("source", ["models/tiny", "s3://bucket/tiny", "file:///models/tiny", "~/tiny"])
def test_sources_that_are_no_absolute_folder_are_refused(memory: Memory, acme: Organization, source: str) -> None:
    with pytest.raises(InvalidRequestError, match="absolute folder") as caught:
        register(memory, acme, source)
    assert source in caught.value.message


def test_a_missing_folder_and_one_without_a_model_are_told_apart(
    memory: Memory, acme: Organization, models: Path
) -> None:
    with pytest.raises(NotFoundError, match="There is no folder"):
        register(memory, acme, models / "nothing")
    with pytest.raises(UnsupportedModelError, match=r"^'tiny' holds no config\.json"):
        register(memory, acme, models)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.json", "{", "config.json in 'bad' cannot be read as JSON"),
        ("tokenizer_config.json", '{"auto_map": {"A": "b"}}', "tokenizer_config.json in 'bad' asks for code"),
        ("model.safetensors", "", "model.safetensors in 'bad' is damaged"),
        ("adapter_config.json", "{}", "'bad' holds an adapter beside a model"),
        ("model.safetensors.index.json", "{}", "model.safetensors.index.json in 'bad' has no weight_map"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_without_where_it_lies(
    memory: Memory, acme: Organization, tiny: Path, file: str, text: str, said: str
) -> None:
    if file.endswith("index.json"):
        (tiny / "model.safetensors").unlink()
    (tiny / file).write_text(text)
    with pytest.raises(UnsupportedModelError) as caught:
        register(memory, acme, tiny, "bad")
    assert caught.value.message.startswith(said)
    assert str(tiny) not in caught.value.message and str(tiny) not in str(caught.value)


def test_more_than_15_billion_parameters_are_refused_before_anything_is_read(
    memory: Memory, acme: Organization, models: Path
) -> None:
    with pytest.raises(ModelTooLargeError, match="15"):
        register(memory, acme, write_model(models / "huge", 15_000_000_001))
    assert register(memory, acme, write_model(models / "large", 15_000_000_000)).parameters == 15_000_000_000


def test_a_model_that_broke_before_it_was_hashed_ends_in_error(memory: Memory, acme: Organization, tiny: Path) -> None:
    row = register(memory, acme, tiny)
    (tiny / "model.safetensors").write_bytes(b"")
    base_models.complete(memory, row.id)
    row = found(memory, acme, "tiny")
    assert row.status == "error"
    assert (row.status_details or "").startswith("model.safetensors in 'tiny' is damaged or incomplete")
    assert str(tiny.parent) not in (row.status_details or "")
    assert base_models.to_wire(memory.settings, row).status_details == row.status_details


def test_completing_twice_or_after_deletion_changes_nothing(memory: Memory, acme: Organization, tiny: Path) -> None:
    row = register(memory, acme, tiny)
    base_models.complete(memory, row.id)
    (tiny / "tokenizer.json").write_text("{ }")
    before = found(memory, acme, "tiny").sha256
    base_models.complete(memory, row.id)
    assert found(memory, acme, "tiny").sha256 == before
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, "tiny")
    base_models.complete(memory, row.id)
    with pytest.raises(NotFoundError):
        found(memory, acme, "tiny")


def test_deleting_an_entry_never_touches_the_operators_folder(memory: Memory, acme: Organization, tiny: Path) -> None:
    register(memory, acme, tiny)
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, "tiny")
    assert (tiny / "model.safetensors").is_file()
    with pytest.raises(NotFoundError):
        found(memory, acme, "tiny")


def test_a_model_that_a_job_waits_for_cannot_be_deleted(
    memory: Memory, acme: Organization, globex: Organization, ready: Any
) -> None:
    ready.job(acme, name="nightly")
    with memory.database.session() as session, pytest.raises(InUseError, match="the job nightly"):
        base_models.delete(session, memory, acme.id, "tiny-llama")
    with memory.database.session() as session, pytest.raises(NotFoundError):
        base_models.delete(session, memory, globex.id, "tiny-llama")


def test_a_model_that_adapters_need_cannot_be_deleted(memory: Memory, acme: Organization, ready: Any) -> None:
    job = ready.job(acme)
    version = {"version": 1, "kind": "adapter", "alias": "ft:x", "tuning_method": "lora", "task": "causal_lm"}
    with memory.database.session() as session:
        base = base_models.find(session, memory, acme.id, "tiny-llama")
        ids = {"job_id": job.id, "training_file_id": job.training_file_id, "base_model_id": base.id}
        more = {"base_model": base.name, "parameters": {}, "metrics": {}, "files": {}, "storage_prefix": "x"}
        session.add(HubVersion(organization_id=acme.id, name="orders", **version, **ids, **more))
        session.merge(job).status = "succeeded"
    with memory.database.session() as session, pytest.raises(InUseError, match="the adapter orders"):
        base_models.delete(session, memory, acme.id, "tiny-llama")


def test_public_models_are_deleted_by_the_operator_only(
    memory: Memory, acme: Organization, globex: Organization, tiny: Path
) -> None:
    register(memory, acme, tiny, "public", operator=True, visibility="public")
    for organization in (acme, globex):
        with memory.database.session() as session, pytest.raises(PermissionDeniedError, match="public"):
            base_models.delete(session, memory, organization.id, "public")
    with memory.database.session() as session:
        base_models.delete(session, memory, acme.id, "public", operator=True)
    with pytest.raises(NotFoundError):
        found(memory, acme, "public")


def test_architecture_that_no_job_trains_is_told_at_registration(
    memory: Memory, acme: Organization, tiny: Path
) -> None:
    config = {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}
    (tiny / "config.json").write_text(json.dumps(config))
    base_models.complete(memory, register(memory, acme, tiny).id)
    row = found(memory, acme, "tiny")
    assert row.status == "ready"
    assert "No job can use it yet. The base model is a 'T5ForConditionalGeneration'" in str(row.status_details)
