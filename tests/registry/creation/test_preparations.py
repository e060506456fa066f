"""Preparations of data sets: checked when they are asked for, done once, and what they make knows where it came from."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from afinador.data.files.readers import read_records
from afinador.data.preparation import Pipeline, Prepared, run_to_file
from afinador.errors import AfinadorError, IllegalTransitionError, NotFoundError
from afinador.schemas.preparations import PrepareRequest
from registry.creation import preparations
from registry.data_sets import files
from registry.ledger.tables import File, Organization, Preparation
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

STEPS = [{"type": "filter", "condition": "length > 5"}, {"type": "split", "validation": 0.25}]


def ask(memory: Memory, organization: Organization, file: str = "train.jsonl", **fields: Any) -> Preparation:
    """Ask for a preparation, and give it a run."""
    request = PrepareRequest(**{"file": file, "steps": STEPS, **fields})
    with memory.database.session() as session:
        row = preparations.create(session, memory, organization.id, request)
        row.flow_run_id = "run-a"
    return row


def begin(memory: Memory, row: Preparation, run: str = "run-a") -> Preparation | None:
    me = {"process_id": os.getpid(), "process_started_at": psutil.Process().create_time(), "host": socket.gethostname()}
    with memory.database.session() as session:
        return preparations.claim(session, row.id, run, me)


def done(row: Preparation, source: Path, folder: Path) -> Prepared:
    found = read_records(source, "jsonl")
    return run_to_file(found, "train.jsonl", Pipeline(row.pipeline["steps"]), folder / row.output, "jsonl")


def stored(memory: Memory, row: Preparation) -> Preparation:
    with memory.database.reading() as session:
        return session.get_one(Preparation, row.id)


def test_what_is_made_is_kept_with_its_lineage(ready: Workshop, acme: Organization, tmp_path: Path) -> None:
    memory, row = ready.memory, ask(ready.memory, acme)
    assert (row.status, row.output) == ("queued", "train-prepared.jsonl")
    assert begin(memory, row, "run-of-another") is None
    assert begin(memory, row) is not None and begin(memory, row) is None
    with memory.database.reading() as session:
        source = session.get_one(File, row.file_id)
    path = memory.storage.local_path(source.storage_key)
    assert path is not None
    claimed = stored(memory, row)
    with memory.database.session() as session:
        assert preparations.beat(session, claimed)
    made = preparations.succeed(memory, claimed, done(row, path, tmp_path / "made"))
    assert [(file.filename, file.version) for file in made] == [
        ("train-prepared-train.jsonl", 1),
        ("train-prepared-validation.jsonl", 1),
    ]
    assert made[0].lineage == {
        "preparation": row.id,
        "file_id": source.id,
        "filename": "train.jsonl",
        "sha256": source.sha256,
    }
    files.check(memory, made[0].id)
    with memory.database.reading() as session:
        told = preparations.to_wire(session, preparations.find(session, acme.id, row.id))
        assert files.to_wire(files.find(session, acme.id, made[0].id)).lineage == made[0].lineage
    assert (told.status, told.records, [step["type"] for step in told.steps]) == ("succeeded", 12, ["filter", "split"])
    assert told.steps[1]["parts"] == {"validation": 3, "train": 9}
    assert [(file.part, file.records) for file in told.output_files] == [("train", 9), ("validation", 3)]
    with memory.database.session() as session:
        assert not preparations.finish(session, row.id, "failed", {"message": "late"})


def test_what_another_run_has_taken_over_is_not_kept(ready: Workshop, acme: Organization, tmp_path: Path) -> None:
    memory, row = ready.memory, ask(ready.memory, acme, steps=[])
    begin(memory, row)
    claimed = stored(memory, row)
    with memory.database.session() as session:
        assert preparations.requeue(session, row.id)
    with memory.database.reading() as session:
        path = memory.storage.local_path(session.get_one(File, row.file_id).storage_key)
    assert path is not None
    prepared = done(row, path, tmp_path / "made")
    kept = sorted(memory.storage.list(acme.id))
    with pytest.raises(IllegalTransitionError, match="by another run"):
        preparations.succeed(memory, claimed, prepared)
    assert sorted(memory.storage.list(acme.id)) == kept
    with memory.database.reading() as session:
        assert [file.filename for file in files.list_page(session, acme.id)[0]] == ["train.jsonl"]
        assert not preparations.beat(session, claimed)


def test_a_preparation_whose_process_dies_too_often_fails(ready: Workshop, acme: Organization) -> None:
    memory, row = ready.memory, ask(ready.memory, acme)
    for submission in (1, 2):
        begin(memory, row)
        with memory.database.session() as session:
            assert preparations.ids_of_runs(session) == ["run-a"]
            assert preparations.requeue(session, row.id)
        again = stored(memory, row)
        assert (again.status, again.submission, again.flow_run_id, again.process_id) == (
            "queued",
            submission,
            None,
            None,
        )
        with memory.database.session() as session:
            session.get_one(Preparation, row.id).flow_run_id = "run-a"
    with memory.database.session() as session:
        assert not preparations.requeue(session, row.id)
        assert not preparations.requeue(session, row.id)
        assert preparations.ids_of_runs(session) == []
    failed = stored(memory, row)
    assert failed.status == "failed" and "3 times" in failed.error["message"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"file": "trian.jsonl"}, "There is no file 'trian.jsonl'"),
        ({"steps": [{"type": "filtr"}]}, "type of step 1 is 'filtr'"),
        ({"steps": [{"type": "raft", "documents": "none"}]}, "There is no file 'none'"),
        ({"steps": [{"type": "filter", "condition": "tokens() > 1"}]}, "no base model is named"),
        ({"base_model": "tniy"}, "There is no base model 'tniy'"),
        ({"output": "made.xyz"}, "says no format which is written; give one of: "),
        ({"output": "a\n.jsonl"}, "printable characters"),
        ({"output": "../../other/made.jsonl"}, "leave folders out"),
        ({"output": "/tmp/made.jsonl"}, "leave folders out"),
        ({"output": "..\\made.jsonl"}, "leave folders out"),
    ],
)
def test_what_cannot_be_prepared_is_refused_at_once(
    ready: Workshop, acme: Organization, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(AfinadorError) as refused:
        ask(ready.memory, acme, **fields)
    assert said in refused.value.message


def test_result_files_are_no_data_sets_and_refused_files_may_be_repaired(ready: Workshop, acme: Organization) -> None:
    ready.upload(acme, "log.csv", purpose=files.RESULT_PURPOSE)
    with pytest.raises(AfinadorError, match="result file of a job"):
        ask(ready.memory, acme, "log.csv")
    ready.upload(acme, "odd.jsonl", [{"question": "q", "answer": "a"}])
    assert ask(ready.memory, acme, "odd", output="made.csv").output == "made.csv"


def test_preparations_are_listed_newest_first(ready: Workshop, acme: Organization, globex: Organization) -> None:
    first, second = ask(ready.memory, acme), ask(ready.memory, acme)
    with ready.memory.database.reading() as session:
        rows, has_more = preparations.list_page(session, acme.id, limit=1)
        assert ([row.id for row in rows], has_more) == ([second.id], True)
        assert [row.id for row in preparations.list_page(session, acme.id, after=second.id)[0]] == [first.id]
        with pytest.raises(NotFoundError, match="There is no preparation"):
            preparations.find(session, globex.id, first.id)
