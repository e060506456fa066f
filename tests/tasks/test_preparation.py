"""The steps of a preparation's flow, from a claimed row to files that know where they came from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from afinador.config.documents import read_document
from afinador.data import processes
from afinador.data.preparation import passage, prepare_file
from afinador.data.tokens.process import TokenProcess
from afinador.errors import DataError, IllegalTransitionError
from afinador.models.preparation_tokens import means_of_base_model
from afinador.models.tokenizer_folders import tokenizer_folder
from afinador.schemas.preparations import PrepareRequest
from afinador.storage import sha256_of
from registry.creation import preparations
from registry.data_sets import files
from registry.ledger.tables import Job, Preparation
from registry.memory import Memory
from tasks import preparation

PIPELINE = """\
steps:
  - {type: filter, condition: "tokens() > 4 and length > 6"}
  - {type: deduplicate, near: 0.85}
  - {type: transform, operation: uppercase}
  - {type: sample, records: 15, seed: 3}
  - {type: shuffle, seed: 4}
  - {type: split, validation: 0.25, seed: 5}
  - {type: augment, rate: 0.5, seed: 6, only: train}
"""


def asked(
    memory: Memory,
    job: Job,
    *steps: dict,
    base_model: str | None = None,
    output: str = "made.csv",
    file: str = "train.jsonl",
) -> Preparation:
    request = PrepareRequest(file=file, steps=list(steps), output=output, base_model=base_model)
    with memory.database.session() as session:
        row = preparations.create(session, memory, job.organization_id, request)
        row.flow_run_id = "run-a"
    return row


@pytest.mark.parametrize("output", ["made.csv", "made.csv.gz", "made.tsv.zst"])
def test_a_file_is_prepared_kept_and_checked(memory: Memory, create: Callable[..., Job], output: str) -> None:
    job = create()
    steps = ({"type": "filter", "condition": "prompt matches '^1'"}, {"type": "shuffle"})
    row = asked(memory, job, *steps, output=output)
    work = preparation.claim(row.id, "run-a")
    assert work is not None and preparation.claim(row.id, "run-a") is None
    source, name = preparation.fetch.fn(work)
    prepared = preparation.take_steps.fn(work, source, name)
    said = preparation.keep.fn(work, prepared)
    assert said.startswith(f"Made of 24 records: {output} (file-") and said.endswith(", 11 records).")
    with memory.database.reading() as session:
        file = files.find(session, job.organization_id, output)
        told = preparations.to_wire(session, preparations.find(session, job.organization_id, row.id))
    assert (file.status, file.format, file.records) == ("processed", "csv", 11)
    assert file.lineage is not None and file.lineage["preparation"] == row.id
    assert (told.status, told.steps[0]["rows_out"], told.steps[1]["changed"]) == ("succeeded", 11, 11)
    assert not work.folder.exists()


@pytest.mark.usefixtures("others_do_the_work")
def test_a_large_file_is_shared_among_processes_and_each_part_tells_that_they_live(
    memory: Memory, create: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage, "processors", lambda: 2)
    monkeypatch.setattr(passage, "PART_BYTES", 200)
    steps = [{"type": "transform", "operation": "uppercase"}, {"type": "shuffle"}]
    row = asked(memory, create(), *steps)
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    found = preparation.fetch.fn(work)
    alone = preparation.take_steps.fn(work, *found)
    started = []
    monkeypatch.setattr(processes._Worker, "give", spied(processes._Worker.give, started))
    monkeypatch.setattr(passage, "BYTES_WORTH_A_START", 1)
    monkeypatch.setattr(preparation, "BEAT_SECONDS", 0.0)
    assert preparation.take_steps.fn(work, *found) == alone and len(started) > 4
    with memory.database.session() as session:
        preparations.requeue(session, row.id)
    with pytest.raises(IllegalTransitionError, match="by another run"):
        preparation.take_steps.fn(work, *found)


def spied(really: Callable[..., None], called: list[tuple]) -> Callable[..., None]:
    def call(*given: Any) -> None:
        called.append(given)
        really(*given)

    return call


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
    assert told.status == "failed" and told.error is not None
    assert "24 of 24 records cannot be prepared: Line 1 has no field 'size'" in told.error["message"]
    assert [said.partition(" has ")[0] for said in told.error["problems"]] == [f"Line {n}" for n in range(1, 11)]


def test_a_preparation_that_leaves_nothing_tells_what_its_steps_did(memory: Memory, create: Callable[..., Job]) -> None:
    job = create()
    row = asked(memory, job, {"type": "shuffle"}, {"type": "filter", "condition": "length > 100000"})
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    with pytest.raises(DataError) as refused:
        preparation.take_steps.fn(work, *preparation.fetch.fn(work))
    preparation.failed(work, refused.value)
    with memory.database.reading() as session:
        told = preparations.to_wire(session, preparations.find(session, job.organization_id, row.id))
    assert (
        told.error is not None
        and "step 2 (filter) has left out all that came to it, 24 records" in told.error["message"]
    )
    assert [(step["type"], step["rows_in"], step["rows_out"]) for step in told.steps] == [
        ("shuffle", 24, 24),
        ("filter", 24, 0),
    ]


def test_what_cannot_be_used_is_left_out_and_told(memory: Memory, create: Callable[..., Job], tmp_path: Path) -> None:
    job = create()
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a", "label": "b"}\nno json\n{"text": "", "label": "b"}\n')
    size = bad.stat().st_size
    with memory.database.session() as session:
        files.create(session, memory, job.organization_id, bad, "bad.jsonl", "fine-tune", sha256_of(bad), size)
    row = asked(memory, job, {"type": "drop_invalid"}, file="bad.jsonl")
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    said = preparation.keep.fn(work, preparation.take_steps.fn(work, *preparation.fetch.fn(work)))
    assert said.startswith("Made of 3 records: made.csv") and said.endswith(", 1 record).")
    with memory.database.reading() as session:
        [step] = preparations.to_wire(session, preparations.find(session, job.organization_id, row.id)).steps
    assert (step["rows_in"], step["rows_out"]) == (3, 1)
    assert step["counts"] == {"json_syntax": 1, "empty_field": 1}
    assert [problem["line"] for problem in step["dropped"]] == [2, 3]


def test_what_is_cancelled_is_neither_kept_nor_left_behind(memory: Memory, create: Callable[..., Job]) -> None:
    job = create()
    row = asked(memory, job)
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    prepared = preparation.take_steps.fn(work, *preparation.fetch.fn(work))
    preparation.given_up(work)
    assert work.folder.exists()
    with memory.database.session() as session:
        assert preparations.cancel(session, job.organization_id, row.id).status == "cancelled"
    with pytest.raises(IllegalTransitionError, match="was cancelled, or"):
        preparation.keep.fn(work, prepared)
    preparation.given_up(work)
    assert not work.folder.exists()
    with memory.database.reading() as session:
        assert [file.filename for file in files.list_page(session, job.organization_id)[0]] == ["train.jsonl"]


def test_a_pipeline_makes_the_same_here_and_in_a_flow(
    memory: Memory,
    create: Callable[..., Job],
    warm: TokenProcess,
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = create()
    declared = tmp_path / "steps.yaml"
    declared.write_text(PIPELINE)
    steps = read_document(declared)["steps"]
    row = asked(memory, job, *steps, base_model="tiny")
    monkeypatch.setattr(preparation, "TokenProcess", lambda: nullcontext(warm))
    work = preparation.claim(row.id, "run-a")
    assert work is not None
    source, name = preparation.fetch.fn(work)
    there = preparation.take_steps.fn(work, source, name)
    means = means_of_base_model(tokenizer_folder(root / "examples" / "base_model" / "model"), warm)
    mine = tmp_path / "train.jsonl"
    shutil.copy(source, mine)
    (tmp_path / "here").mkdir()
    here = prepare_file(mine, steps, target=tmp_path / "here" / "made.csv", means=means)
    assert [file.sha256 for file in here.files] == [file.sha256 for file in there.files]
    assert here.steps == there.steps and len(here.files) == 2
    with memory.database.reading() as session:
        assert preparations.to_wire(session, work.row).base_model == "tiny"
