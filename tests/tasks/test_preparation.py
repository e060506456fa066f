"""The steps of a preparation's flow, from a claimed row to files that know where they came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from afinador.errors import DataError, IllegalTransitionError
from afinador.schemas.preparations import PrepareRequest
from afinador.storage import sha256_of
from registry import files, preparations
from registry.memory import Memory
from registry.tables import Job, Preparation
from tasks import preparation


def asked(memory: Memory, job: Job, *steps: dict) -> Preparation:
    request = PrepareRequest(file="train.jsonl", steps=list(steps), output="made.csv")
    with memory.database.session() as session:
        row = preparations.create(session, job.organization_id, request)
        row.flow_run_id = "run-a"
    return row


def test_a_file_is_prepared_kept_and_checked(memory: Memory, create: Callable[..., Job]) -> None:
    job = create()
    row = asked(memory, job, {"type": "filter", "condition": "prompt matches '^1'"}, {"type": "shuffle"})
    work = preparation.claim(row.id, "run-a")
    assert work is not None and preparation.claim(row.id, "run-a") is None
    source, name = preparation.fetch.fn(work)
    prepared = preparation.take_steps.fn(work, source, name)
    said = preparation.keep.fn(work, prepared)
    assert said.startswith("Made of 24 records: made.csv (file-") and said.endswith(", 11 records).")
    with memory.database.reading() as session:
        file = files.find(session, job.organization_id, "made.csv")
        told = preparations.to_wire(session, preparations.find(session, job.organization_id, row.id))
    assert (file.status, file.format, file.records) == ("processed", "csv", 11)
    assert file.lineage is not None and file.lineage["preparation"] == row.id
    assert (told.status, told.steps[0]["rows_out"], told.steps[1]["changed"]) == ("succeeded", 11, 11)
    assert not work.folder.exists()


def test_documents_of_another_file_are_read(memory: Memory, create: Callable[..., Job], tmp_path: Path) -> None:
    job = create()
    text = tmp_path / "more.txt"
    text.write_text("1 and 1 are two.\n\n2 and 2 are four.\n")
    with memory.database.session() as session:
        files.create(
            session, memory, job.organization_id, text, "more.txt", "fine-tune", sha256_of(text), text.stat().st_size
        )
    names = {"question": "prompt", "document": "prompt", "answer": "completion"}
    row = asked(memory, job, {"type": "raft", **names, "documents": "more", "distractors": 25, "without_oracle": 0})
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    work.row.output = "made.jsonl"
    prepared = preparation.take_steps.fn(work, *preparation.fetch.fn(work))
    first = json.loads(prepared.files[0].path.read_text().splitlines()[0])
    assert {"1 and 1 are two.", "2 and 2 are four."} <= {*first["distractors"]}


def test_a_preparation_fails_with_its_reason_and_stops_when_it_is_another_run_s(
    memory: Memory, create: Callable[..., Job]
) -> None:
    job = create()
    row = asked(memory, job, {"type": "filter", "condition": "size > 3"})
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    source, name = preparation.fetch.fn(work)
    with pytest.raises(DataError, match="Line 1 has no field 'size'") as refused:
        preparation.take_steps.fn(work, source, name)
    with memory.database.session() as session:
        preparations.requeue(session, row.id)
    with pytest.raises(IllegalTransitionError, match="by another run"):
        work._beaten_at = -10.0
        preparation.take_steps.fn(work, source, name)
    assert preparation.failed(work, refused.value) == refused.value.message
    with memory.database.reading() as session:
        told = preparations.to_wire(session, preparations.find(session, job.organization_id, row.id))
    assert told.status == "failed" and told.error is not None and "'size'" in told.error["message"]
