"""Data sets from the Hugging Face Hub: its protocol, spoken by a small server with the unmodified client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import SecretStr

from afinador.errors import InvalidRequestError, NotFoundError
from afinador.schemas.datasets import DatasetReading
from registry import jobs
from registry.data_sets import files
from registry.hugging_face.hub_sources import parse_dataset_source
from registry.ledger.tables import File, Job, Organization
from registry.memory import Memory
from tests.registry.hf_hub import COMMIT, Hub, running_hub

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

SOURCE = "hf://acme/tiny"
TOKEN = "hf-secret-word"


def table(count: int, first: int = 0) -> bytes:
    sink = io.BytesIO()
    rows = [{"prompt": f"{n} + 1 =", "completion": f"{n + 1}"} for n in range(first, first + count)]
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


CARD = {"configs": [
    {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"}]},
    {"config_name": "es", "data_files": "es/*.jsonl"},
]}  # fmt: skip


@pytest.fixture
def hub(memory: Memory) -> Iterator[Hub]:
    with running_hub() as server:
        server.dataset_files = {
            "README.md": f"---\n{json.dumps(CARD)}\n---\n".encode(),
            "data/train-00000-of-00002.parquet": table(7),
            "data/train-00001-of-00002.parquet": table(5, 7),
            "data/test-00000-of-00001.parquet": table(10, 50),
            "es/a.jsonl": b'{"prompt": "uno", "completion": "dos"}\n' * 3,
            "script.py": b"raise SystemExit",
        }
        memory.settings.hf_endpoint = server.url
        yield server


def named(memory: Memory, owner: Organization, source: str = SOURCE, reading: DatasetReading | None = None) -> File:
    """Name a data set as an upload does, fetch and check it, and return the row as it is afterwards."""
    with memory.database.session() as session:
        file = files.create_from_hub(session, memory, owner.id, source, reading)
    assert (file.status, file.bytes) == ("uploaded", 0)
    files.check(memory, file.id)
    with memory.database.reading() as session:
        return session.get_one(File, file.id)


def test_a_data_set_is_fetched_into_the_storage_and_tied_to_its_commit(
    memory: Memory, acme: Organization, hub: Hub
) -> None:
    file = named(memory, acme)
    assert (file.status, file.status_details, file.format, file.records) == ("processed", None, "folder", 12)
    assert files.to_wire(file).source == f"hf://acme/tiny@{COMMIT}" and file.filename == "acme--tiny.tar"
    assert memory.storage.exists(file.storage_key) and file.bytes > 0
    assert sorted(set(hub.fetched)) == [
        "README.md",
        *sorted(name for name in hub.dataset_files if name.startswith("data/")),
    ]
    held_out = named(memory, acme, SOURCE, DatasetReading(split="test"))
    assert (held_out.records, held_out.sha256) == (10, file.sha256)
    assert len(hub.fetched) == len(set(hub.fetched)), "the same commit was fetched twice"


def test_config_and_revision_are_those_asked_for(memory: Memory, acme: Organization, hub: Hub) -> None:
    file = named(memory, acme, f"hf://acme/tiny:es@{COMMIT}")
    assert (file.records, file.filename) == (3, "acme--tiny--es.tar")
    assert "es/a.jsonl" in hub.fetched and not any(name.endswith(".parquet") for name in hub.fetched)


def test_the_token_is_sent(memory: Memory, acme: Organization, hub: Hub) -> None:
    memory.settings.hf_token = SecretStr(TOKEN)
    named(memory, acme)
    assert hub.tokens == {f"Bearer {TOKEN}"}


def test_job_names_a_data_set_of_the_hub_and_the_next_one_fetches_nothing(
    workshop: Workshop, acme: Organization, hub: Hub
) -> None:
    memory = workshop.memory
    workshop.base_model(acme)
    body = {"training_file": SOURCE}
    with memory.database.session() as session:
        [file_id] = files.require_fetched(session, memory, acme.id, body)
    job = workshop.job(acme, **body)
    assert (job.status, job.training_file_id) == ("validating_files", file_id)
    files.check(memory, file_id)
    with memory.database.session() as session:
        job, file = session.get_one(Job, job.id), session.get_one(File, file_id)
        assert (job.status, job.spec["training_file"]["sha256"]) == ("queued", file.sha256)
        assert jobs.to_wire(job).training_file == file_id
        assert job.spec["training_file"]["source"] == f"hf://acme/tiny@{COMMIT}"
        assert files.require_fetched(session, memory, acme.id, body) == []
    hub.error = (503, "")  # away: what is there is enough
    assert workshop.job(acme, **body).status == "queued"


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("hf://acme/other", None, "check the name, or set HF_TOKEN"),
        ("hf://acme/tiny@v9", None, "no revision 'v9'"),
        ("hf://acme/tiny", (403, "GatedRepo"), "accept its terms"),
        ("hf://acme/tiny:fr", None, "config is 'fr'; the data set has: default, es"),
        ("hf://acme/tiny", (418, ""), "HTTP 418"),
    ],
)
def test_a_data_set_that_cannot_be_had_says_why(
    memory: Memory, acme: Organization, hub: Hub, source: str, error: tuple[int, str] | None, said: str
) -> None:
    hub.error = error
    memory.settings.hf_token = SecretStr(TOKEN)
    file = named(memory, acme, source)
    assert file.status == "error" and not memory.storage.exists(file.storage_key)
    assert said in (file.status_details or "") and TOKEN not in (file.status_details or "")
    with memory.database.reading() as session, pytest.raises(NotFoundError, match="is no file"):
        files.find(session, acme.id, source)


def test_repository_without_data_files_is_refused(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.dataset_files = {"script.py": b"raise SystemExit", "README.md": b"# A data set"}
    assert "scripts are never run" in (named(memory, acme).status_details or "")
    assert "script.py" not in hub.fetched


def test_bytes_of_another_hash_than_the_hub_tells_are_refused(memory: Memory, acme: Organization, hub: Hub) -> None:
    hub.announced_hash = "a" * 64
    assert "arrived with other bytes than the Hub tells" in (named(memory, acme).status_details or "")


@pytest.mark.parametrize(
    "source", ["hf://tiny", "hf://a/b/c", "hf://a/b:", "hf://a/b@", "hf://../b", "hf://a/b:x/y", "hf://" + "a" * 400]
)
def test_what_is_no_name_of_a_data_set_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequestError, match="write hf://owner/name"):
        parse_dataset_source(source)
