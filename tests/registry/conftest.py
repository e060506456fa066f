"""A ledger of its own for each test.

``AFINADOR_TEST_DATABASE_URL=postgresql+psycopg://…`` runs the same tests on PostgreSQL, each in a schema of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from afinador.config.resolve import parse_request
from afinador.settings import Settings
from registry import jobs, organisations
from registry.data_sets import files
from registry.ledger.database import upgrade
from registry.ledger.tables import BaseModel, File, Job, Organization
from registry.memory import Memory

GOOD_ROWS = [{"prompt": f"{number} + 1 =", "completion": f"{number + 1}"} for number in range(12)]
CLASSES = [{"text": f"text {n}", "label": ("good", "bad")[n % 2]} for n in range(6)]


@pytest.fixture
def ledger_url(tmp_path: Path) -> Iterator[str]:
    """The address of a ledger that does not exist yet."""
    server = os.environ.get("AFINADOR_TEST_DATABASE_URL")
    if server is None:
        yield f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
        return
    schema = f"test_{secrets.token_hex(6)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        yield f"{server}?options=-csearch_path%3D{schema}"
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def memory(tmp_path: Path, ledger_url: str, empty_ledger: Path) -> Iterator[Memory]:
    """An open, migrated memory below a home of its own."""
    if ledger_url.startswith("sqlite:///"):
        (tmp_path / "home").mkdir()
        shutil.copy(empty_ledger, tmp_path / "home" / "ledger.db")
    else:
        upgrade(ledger_url)
    opened = Memory.open(Settings(home=tmp_path / "home", database_url=ledger_url))
    yield opened
    opened.database.close()


@pytest.fixture
def acme(memory: Memory) -> Organization:
    with memory.database.session() as session:
        return organisations.create(session, "acme")


@pytest.fixture
def globex(memory: Memory) -> Organization:
    with memory.database.session() as session:
        return organisations.create(session, "globex")


@dataclass
class Workshop:
    """Makes the things that tests start from."""

    memory: Memory
    folder: Path

    def base_model(self, organization: Organization, name: str = "tiny-llama", **changed: Any) -> BaseModel:
        """Write a base model down as if it had been registered."""
        columns = {
            "source": "/models/tiny",
            "path": "/models/tiny",
            "status": "ready",
            "architecture": "LlamaForCausalLM",
            "task": "causal_lm",
            "parameters": 1_500_000,
            "sha256": "0" * 64,
            "files": {},
        } | changed
        with self.memory.database.session() as session:
            row = BaseModel(organization_id=organization.id, name=name, **columns)
            session.add(row)
            return row

    def upload(
        self,
        organization: Organization,
        filename: str = "train.jsonl",
        rows: list[dict[str, Any]] | None = None,
        *,
        checked: bool = True,
        purpose: str = "fine-tune",
    ) -> File:
        """Upload a file of JSON lines, and check it."""
        content = "\n".join(json.dumps(row) for row in (GOOD_ROWS if rows is None else rows)).encode()
        source = self.folder / f"upload-{secrets.token_hex(4)}"
        source.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        with self.memory.database.session() as session:
            file = files.create(session, self.memory, organization.id, source, filename, purpose, digest, len(content))
        if checked:
            files.check(self.memory, file.id)
            with self.memory.database.session() as session:
                return session.get_one(File, file.id)
        return file

    def job(self, organization: Organization, **body: Any) -> Job:
        """Create a job by the wire body; model and training file are those that were made above."""
        request = parse_request({"model": "tiny-llama", "training_file": "train.jsonl"} | body)
        with self.memory.database.session() as session:
            return jobs.create(session, self.memory, organization, request)

    def running_job(self, organization: Organization, **body: Any) -> Job:
        """Create a job and claim it."""
        return claimed(self.memory, self.job(organization, **body).id)


@pytest.fixture
def workshop(memory: Memory, tmp_path: Path) -> Workshop:
    return Workshop(memory, tmp_path)


@pytest.fixture
def ready(workshop: Workshop, acme: Organization) -> Workshop:
    """A workshop in which acme has a base model and a checked training file."""
    workshop.base_model(acme)
    workshop.upload(acme)
    return workshop


def claimed(memory: Memory, job_id: str) -> Job:
    """Claim a job as a flow does."""
    with memory.database.session() as session:
        job = jobs.claim(session, job_id, flow_run_id="run-1", process_id=4242, process_started_at=1.5, host="host-a")
    assert job is not None
    return job


Claim = Callable[[str], Job]


@pytest.fixture
def claim(memory: Memory) -> Claim:
    return lambda job_id: claimed(memory, job_id)


@pytest.fixture
def stored(memory: Memory) -> Callable[[str], Job]:
    """Read a job as the ledger holds it now."""

    def read(job_id: str) -> Job:
        with memory.database.reading() as session:
            return session.get_one(Job, job_id)

    return read
