"""``prepare dataset`` here and at the service."""

from __future__ import annotations

import gzip
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from afinador.cli.transfer import rows_bar
from afinador.data.files.readers import read_records
from afinador.data.preparation import Pipeline, lines_to_read, run_to_file
from registry.creation import preparations
from registry.data_sets import files
from registry.ledger.tables import Preparation

Run = Callable[..., Any]

PIPELINE = """\
steps:
  - {type: deduplicate}
  - {type: rename, fields: {text: prompt, label: completion}}
  - {type: split, validation: 0.25}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "steps.yaml"
    path.write_text(PIPELINE)
    return path


def test_a_local_data_set_needs_no_service(afinador: Run, dataset: Path, pipeline: Path, tmp_path: Path) -> None:
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--output", tmp_path / "made.csv")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split() == ["STEP", "TYPE", "ROWS", "IN", "ROWS", "OUT", "CHANGED", "DETAILS"]
    assert lines[2].split() == ["2", "rename", "12", "12", "12", "-"]
    assert lines[-2:] == [f"{tmp_path}/made-train.csv: 9 records", f"{tmp_path}/made-validation.csv: 3 records"]
    assert (tmp_path / "made-train.csv").read_text().startswith('"prompt","completion"')
    lineage = json.loads((tmp_path / "made.csv.lineage.json").read_text())
    assert lineage["source"] == dataset.name and lineage["pipeline"]["steps"][0] == {"type": "deduplicate"}
    told = json.loads(afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--json").out)
    assert [Path(file["path"]).name for file in told["files"]] == [
        f"{dataset.stem}-prepared-train.jsonl",
        f"{dataset.stem}-prepared-validation.jsonl",
    ]
    assert told["files"][0]["path"].startswith(str(dataset.parent))


def test_steps_that_leave_nothing_are_shown_all_the_same(afinador: Run, dataset: Path, tmp_path: Path) -> None:
    steps = tmp_path / "steps.yaml"
    steps.write_text("- {type: shuffle}\n- {type: filter, condition: length > 100000}\n")
    ran = afinador("prepare", "dataset", dataset, "--pipeline", steps, "--output", tmp_path / "made.csv")
    assert ran.code == 1 and not ran.out and "step 2 (filter) has left out all that came to it, 12 records" in ran.err
    table = [line.split()[:4] for line in ran.err.splitlines()]
    assert ["1", "shuffle", "12", "12"] in table and ["2", "filter", "12", "0"] in table


def test_another_data_set_is_looked_for_beside_the_one_that_is_prepared(
    afinador: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, steps = tmp_path / "data", tmp_path / "steps"
    data.mkdir()
    steps.mkdir()
    (data / "asked.jsonl").write_text('{"question": "q", "document": "d", "answer": "a"}\n' * 3)
    (data / "pool.jsonl").write_text("".join(f'{{"text": "other document {at}"}}\n' for at in range(9)))
    monkeypatch.chdir(tmp_path)
    words = ("prepare", "dataset", "data/asked.jsonl", "--pipeline", "steps/p.yaml", "--output", "made.jsonl")
    for written, is_found in (("pool.jsonl", True), (str(data / "pool.jsonl"), True), ("data/pool.jsonl", False)):
        (steps / "p.yaml").write_text(f"- {{type: raft, documents: {written}}}")
        ran = afinador(*words, "--overwrite")
        assert ran.code == (0 if is_found else 1), ran.err
    assert f"'documents' names the data set 'data/pool.jsonl', and there is none at '{data}/data/pool.jsonl'" in ran.err
    assert "paths are taken from the folder of 'asked.jsonl'" in ran.err


def test_a_name_that_says_so_is_written_compressed(
    afinador: Run, dataset: Path, pipeline: Path, tmp_path: Path
) -> None:
    words = ("prepare", "dataset", dataset, "--pipeline", pipeline, "--output")
    ran = afinador(*words, tmp_path / "made.csv.gz")
    assert ran.code == 0 and ran.out.splitlines()[-2:] == [
        f"{tmp_path}/made-train.csv.gz: 9 records",
        f"{tmp_path}/made-validation.csv.gz: 3 records",
    ]
    assert gzip.decompress((tmp_path / "made-train.csv.gz").read_bytes()).startswith(b'"prompt","completion"')
    ran = afinador(*words, tmp_path / "made.parquet.gz")
    assert ran.code == 2 and "would be Parquet in a compressed file" in ran.err


def test_a_local_folder_is_prepared_into_the_file_that_is_named(
    afinador: Run, dataset: Path, pipeline: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(dataset.read_bytes())
    words = ("prepare", "dataset", folder, "--pipeline", pipeline)
    ran = afinador(*words)
    assert ran.code == 2 and "--output" in ran.err
    ran = afinador(*words, "--output", tmp_path / "made.jsonl")
    assert ran.code == 0 and ran.out.splitlines()[-2:] == [
        f"{tmp_path}/made-train.jsonl: 9 records",
        f"{tmp_path}/made-validation.jsonl: 3 records",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("steps: [{type: filtr}]", "The type of step 1 is 'filtr'; it must be one of: filter"),
        (
            "steps: [{type: filter, condition: 'length >'}]",
            "Step 1 (filter): the condition 'length >' is not understood",
        ),
        ("- type: filter", "Step 1 (filter): condition is missing"),
        ("filter", "The steps are 'filter'; they must be a list of objects"),
        ("steps: [{type: filter, condition: 'size > 3'}]", "has no field 'size'"),
    ],
)
def test_a_bad_pipeline_is_said_in_a_sentence(
    afinador: Run, dataset: Path, pipeline: Path, content: str, said: str
) -> None:
    pipeline.write_text(content)
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline)
    assert ran.code in (1, 2) and said in ran.err and ran.out == ""


def test_a_record_that_does_not_fit_is_named_with_its_file(afinador: Run, dataset: Path, pipeline: Path) -> None:
    for row, steps, said in (
        ("no json", "[{type: deduplicate}]", "orders.jsonl: Line 13 is no JSON: "),
        ('{"text": "a"}', "[{type: filter, condition: label == 'a'}]", "orders.jsonl: Line 13 has no field 'label'"),
        ('{"text": "a"}', "[{type: convert, to: messages}]", "orders.jsonl: Line 13: The shape text cannot become"),
        ('{"text": "", "label": "a"}', "[{type: convert, to: messages}]", "orders.jsonl: Line 13: 'text' is empty"),
        (
            '{"n": 1}',
            "[{type: convert, to: messages}]",
            "orders.jsonl: Line 13 has the fields 'n', which are of no known",
        ),
    ):
        good = dataset.read_text()
        dataset.write_text(good + row + "\n")
        pipeline.write_text(steps)
        ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline)
        assert ran.code == 1 and ran.err.startswith(said) and ran.err.count("orders.jsonl") == 1, ran.err
        dataset.write_text(good)


def test_all_faults_are_shown_and_left_out_where_it_is_said(afinador: Run, dataset: Path, pipeline: Path) -> None:
    dataset.write_text(dataset.read_text() + 'no json\n{"text": "a"}\n[]\n')
    pipeline.write_text("[{type: filter, condition: label != 'x'}]")
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline)
    assert ran.code == 1 and ran.out == "", ran
    assert [line.partition(" ")[2][:3] for line in ran.err.splitlines()[:3]] == ["13 ", "14 ", "15 "]
    assert "orders.jsonl: 3 of 15 records cannot be prepared" in ran.err.splitlines()[3]
    pipeline.write_text("[{type: drop_invalid}, {type: filter, condition: label != 'x'}]")
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline)
    assert ran.code == 0, ran.err
    assert "json_syntax 1, not_an_object 1, missing_field 1" in ran.out
    assert ran.out.count("Left out by step 1: Line ") == 3 and "prepared.jsonl: 12 records" in ran.out


def test_the_data_set_itself_is_not_written_over(afinador: Run, dataset: Path, pipeline: Path) -> None:
    before = dataset.read_bytes()
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--output", dataset)
    assert ran.code == 2 and "is the data set itself" in ran.err and dataset.read_bytes() == before


def test_no_folder_is_made_for_the_output(afinador: Run, dataset: Path, pipeline: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--output", gone / "made.jsonl")
    assert ran.code == 2 and f"written in {gone}, and there is no such folder" in ran.err and not gone.exists()


def test_what_is_there_is_written_over_where_it_is_said(
    afinador: Run, online: Run, dataset: Path, pipeline: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made-validation.csv"
    made.write_text("mine")
    words = ("prepare", "dataset", dataset, "--pipeline", pipeline, "--output", tmp_path / "made.csv")
    ran = afinador(*words)
    assert ran.code == 2 and f"{made} exists already" in ran.err and made.read_text() == "mine"
    assert afinador(*words, "--overwrite").code == 0 and made.read_text() != "mine"
    ran = online("prepare", "dataset", "nowhere", "--pipeline", pipeline, "--overwrite")
    assert ran.code == 2 and "Leave --overwrite out" in ran.err


def test_what_is_no_local_file_is_asked_of_the_service(online: Run, pipeline: Path) -> None:
    ran = online("prepare", "dataset", "nowhere", "--pipeline", pipeline)
    assert ran.code == 3 and "There is no local file 'nowhere', nor one of the service" in ran.err
    assert "There is no file 'nowhere' in this organization" in ran.err


def test_where_no_service_answers_the_missing_file_is_named(
    afinador: Run, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFINADOR_URL", "http://127.0.0.1:9")
    ran = afinador("prepare", "dataset", "gone.jsonl", "--pipeline", pipeline)
    assert ran.code == 1 and "There is no local file 'gone.jsonl'" in ran.err and "cannot be asked: No " in ran.err


def test_what_cannot_be_trained_on_is_said(
    online: Run,
    service: Any,
    in_background: Run,
    dataset: Path,
    pipeline: Path,
    tmp_path: Path,
) -> None:
    assert online("create", "file", dataset).code == 0
    pipeline.write_text("- {type: remove, fields: [label]}\n- {type: rename, fields: {text: title}}\n")

    def work() -> None:
        memory, row = service.memory, None
        while row is None:
            with memory.database.session() as session:
                queued = Preparation.organization_id == service.organization_id, Preparation.status == "queued"
                row = session.scalars(select(Preparation).where(*queued)).first()
                if row is not None:
                    row.flow_run_id = "run-a"
            time.sleep(0.01)
        with memory.database.session() as session:
            row = preparations.claim(session, row.id, "run-a", {})
        steps, found = Pipeline(row.pipeline["steps"]), read_records(dataset, "jsonl")
        prepared = run_to_file(found, dataset.name, steps, tmp_path / "made.jsonl", "jsonl")
        for file in preparations.succeed(memory, row, prepared):
            files.check(memory, file.id)

    in_background(work)
    ran = online("prepare", "dataset", "orders", "--pipeline", pipeline, "--json")
    assert ran.code == 1 and "made.jsonl cannot be trained on: " in ran.err
    told = json.loads(ran.out)["output_files"][0]
    assert (told["status"], told["records"]) == ("error", 12) and "title" in told["status_details"]
    made_by = json.loads(ran.out)["id"]
    assert (
        f"made of         orders.jsonl ({json.loads(ran.out)['file']}) by {made_by}"
        in online("get", "file", told["id"]).out
    )
    shown = online("get", "preparation", made_by).out
    assert "succeeded" in shown and f"made.jsonl ({told['id']}, 12 records)" in shown and "rename" in shown
    assert made_by in online("list", "preparations").out
    ran = online("cancel", "preparation", made_by)
    assert ran.code == 1 and f"{made_by} has succeeded; a preparation can be cancelled while" in ran.err


def test_a_base_model_of_this_machine_is_a_folder(afinador: Run, dataset: Path, pipeline: Path) -> None:
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--base-model", "tiny")
    assert ran.code == 2 and "'tiny' is no folder with a tokenizer" in ran.err
    ran = afinador("prepare", "dataset", dataset, "--pipeline", pipeline, "--base-model", "./gone")
    assert ran.code == 3 and "'./gone', and there is no such folder" in ran.err


def test_how_far_it_is_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, dataset: Path) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with rows_bar(lambda: 10) as told:
        told("reading", 5)
    assert screen.getvalue() == ""
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with rows_bar(lambda: lines_to_read(dataset), is_shown=False) as told:
        told("reading", 5)
    assert screen.getvalue() == ""
    with rows_bar(lambda: lines_to_read(dataset)) as told:
        told("reading", 5)
        told("writing", 3)
    assert "5/12" in screen.getvalue() and "writing" in screen.getvalue()
