"""What looks like personal data or a secret is never printed, wherever in a record it stands and whatever is wrong there."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.cli.dataset_reports import show_report
from afinador.data.comparison import compare_files
from afinador.data.dataset_reports import dataset_report
from afinador.data.files.readers import read_records
from afinador.data.preparation import Pipeline
from afinador.data.quoting import described, shortened
from afinador.data.records import Problem
from afinador.data.validation import validate_dataset
from afinador.errors import AfinadorError
from afinador.report.dataset_page import dataset_page
from afinador.schemas.datasets import DatasetReading

PRIVATE = {
    "email": "maria.perez@unam-correo.mx",
    "phone": "+52 55 1234 5678",
    "key": "sk-proj-A1b2C3d4E5f6G7h8I9j0K1l2",
    "iban": "ES91 2100 0418 4502 0005 1332",
    "card": "4111 1111 1111 1111",
    "password": "the password is Girasol99#rojo",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----",
}
# Of each the part by which a reader would know it.
TELLING = ("maria.perez", "1234 5678", "A1b2C3d4", "2100 0418", "1111 1111", "Girasol99", "MIIEpAIB")


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def call(**function: Any) -> dict[str, Any]:
    said = {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}
    return chat({"role": "user", "content": "a"}, said)


ANSWER = {"role": "assistant", "content": "b"}
RECORDS: dict[str, Callable[[str], Any]] = {
    "not an object": lambda it: it,
    "list": lambda it: [it],
    "text of a wrong type": lambda it: {"text": [it]},
    "text as an object": lambda it: {"prompt": {it: it}, "completion": "a"},
    "name of a field": lambda it: {it: "a", "other": it},
    "name of a field beside": lambda it: {"prompt": "a", "completion": "b", it: it},
    "role": lambda it: chat({"role": it, "content": "a"}, ANSWER),
    "role that is none": lambda it: chat({"role": {"a": it}, "content": "a"}, ANSWER),
    "messages": lambda it: {"messages": it},
    "message": lambda it: chat(it),  # type: ignore[arg-type]
    "content": lambda it: chat({"role": "user", "content": {"a": it}}, ANSWER),
    "part of a content": lambda it: chat({"role": "user", "content": [{"type": it, "text": it}]}, ANSWER),
    "weight": lambda it: chat({"role": "user", "content": "a"}, {**ANSWER, "weight": it}),
    "tools": lambda it: chat({"role": "user", "content": "a"}, ANSWER, tools=it),
    "function": lambda it: {**call(name=it, arguments="{}"), "tools": [{"function": {"name": "f"}}]},
    "arguments": lambda it: call(name="f", arguments=it),
    "tool reply": lambda it: chat({"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": it, "content": "a"}, ANSWER),
    "turns": lambda it: {"conversations": it},
    "speaker": lambda it: {"conversations": [{"from": it, "value": "a"}]},
    "call of a turn": lambda it: {"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": it}]},
    "metadata": lambda it: {"document": "a", "metadata": it},
    "type": lambda it: {"document": "a", "metadata": {"a": 1}, "type": [it]},
    "type that is told": lambda it: {"document": "a", "metadata": {"a": 1}, "type": it},
    "distractors": lambda it: {"question": "a", "oracle": "b", "distractors": it, "answer": "c"},
    "distractor": lambda it: {"question": "a", "oracle": "b", "distractors": [[it]], "answer": "c"},
    "label": lambda it: {"text": "a", "label": it},
    "label of a wrong type": lambda it: {"text": "a", "label": [it]},
    "null": lambda it: {"prompt": None, "completion": it},
    "key twice": lambda it: f'{{"a": 1, {json.dumps(it)}: 1, {json.dumps(it)}: 2}}',
    "broken": lambda it: f'{{"text": {it}}}',
    "broken within": lambda it: f'{{"text": "a" {it}}}',
    "after the object": lambda it: f'{{"text": "a"}} {it}',
}  # fmt: skip


def shown_of(path: Path, name: str, reading: DatasetReading | None = None, held_out: Path | None = None) -> str:
    """Return all that people and programs are told of a file: text, JSON, page."""
    verdict = validate_dataset(path, name, reading)
    reports = [dataset_report(name, verdict.to_json())]
    if held_out is not None:
        other = validate_dataset(held_out, held_out.name, reading)
        compare_files(verdict, other, name)
        reports[0].validation = dataset_report(held_out.name, other.to_json())
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        show_report(reports[0])
    return (
        output.getvalue()
        + json.dumps(reports[0].model_dump(mode="json"), ensure_ascii=False)
        + dataset_page(reports[0])
    )


def line_of(record: Any) -> str:
    is_broken = isinstance(record, str) and record.startswith("{")
    return record.replace("\n", " ") if is_broken else json.dumps(record, ensure_ascii=False)


TOLD_OF_THE_FIRST = "name of a field"
"""What is said of the first such record stands for all."""


@pytest.mark.parametrize("it", PRIVATE.values(), ids=PRIVATE)
def test_names_of_fields_that_nobody_knows_are_masked(tmp_path: Path, it: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line_of(RECORDS[TOLD_OF_THE_FIRST](it)), encoding="utf-8")
    shown = shown_of(path, path.name)
    assert "has the fields" in shown and not [each for each in TELLING if each in shown], shown


@pytest.mark.parametrize("name", [name for name in RECORDS if name != TOLD_OF_THE_FIRST])
def test_a_report_tells_no_private_thing_of_any_field(tmp_path: Path, name: str) -> None:
    record = RECORDS[name]
    # Behind so many characters the cut of an excerpt goes through the middle of it.
    before = ("", "x" * 16 + " ", "x" * 50 + " ")
    lines = [line_of(record(before[number % 3] + it)) for number, it in enumerate(PRIVATE.values())]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(["{}", *lines]), encoding="utf-8")
    shown = shown_of(path, path.name)
    assert "Line 7" in shown and not [each for each in TELLING if each in shown], shown


@pytest.mark.parametrize("name", ["key twice", "broken", "broken within", "after the object", "not an object"])
def test_a_document_tells_no_private_thing_where_it_is_broken(tmp_path: Path, name: str) -> None:
    for it in PRIVATE.values():
        path = tmp_path / "a.json"
        line = line_of(RECORDS[name](it))
        path.write_text(line if name == "after the object" else f"[{line}]", encoding="utf-8")
        said = str([problem for problem in read_records(path, "json") if isinstance(problem, Problem)])
        assert said != "[]" and not [each for each in TELLING if each in said], said


def test_columns_labels_names_of_members_and_mappings_are_masked(tmp_path: Path) -> None:
    everything = [it.replace("\n", " ") for it in PRIVATE.values()]
    header = tmp_path / "no-header.csv"
    header.write_text(f"{','.join(everything)}\n{','.join(everything)}\n", encoding="utf-8")
    twice = tmp_path / "twice.csv"
    twice.write_text(f"{everything[0]},{everything[0]}\na,b\n", encoding="utf-8")
    short = tmp_path / "short.csv"
    short.write_text(f"text,label,{everything[0]}\na\n", encoding="utf-8")
    archive = tmp_path / "members.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(f"{everything[0]}.jsonl", '{"a": 1}\n{')
        packed.writestr(f"{everything[2]}.jsonl", '{"a": 1}\n{')
    mapping = DatasetReading(mapping={"text": everything[0].replace("maria", "mario")})
    labels, held_out = tmp_path / "labels.jsonl", tmp_path / "held-out.jsonl"
    rows = [
        {"text": f"t{n}", "label": label} for label in ("a", "b", *everything, everything[0].upper()) for n in range(3)
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "z", "label": everything[1] + "9"}]))
    held_out.write_text("".join(json.dumps({"text": "y", "label": f"{it} x"}) + "\n" for it in everything))
    shown = [shown_of(path, path.name) for path in (header, twice, short, archive)]
    shown += [shown_of(header, header.name, mapping), shown_of(labels, labels.name, held_out=held_out)]
    for each in shown:
        assert not [it for it in (*TELLING, *(it.upper() for it in TELLING)) if it in each], each
    assert "[an e-mail address]" in shown[-1] and "[a payment card number]" in shown[-1]


@pytest.mark.parametrize(
    "step, record",
    [
        ({"type": "filter", "condition": "label > 3"}, lambda it: {"text": "a", "label": [it]}),
        ({"type": "filter", "condition": "missing > 3"}, lambda it: {"text": "a", it: it}),
        ({"type": "convert", "to": "text"}, lambda it: {"text": it, "label": it}),
        ({"type": "convert", "to": "alpaca"}, lambda it: chat({"role": "user", "content": "a", "name": it}, ANSWER)),
        ({"type": "convert", "to": "prompt_completion"}, lambda it: chat({"role": it, "content": "a"}, ANSWER)),
        ({"type": "convert", "to": "alpaca"}, lambda it: chat({"role": "user", "content": "a", it: it}, ANSWER)),
    ],
)  # fmt: skip
def test_preparation_tells_no_private_thing(tmp_path: Path, step: dict[str, Any], record: Callable[[str], Any]) -> None:
    path = tmp_path / "a.jsonl"
    for it in PRIVATE.values():
        path.write_text(json.dumps(record(it)) + "\n")
        with pytest.raises(AfinadorError) as refused:
            list(Pipeline([step]).run(read_records(path, "jsonl"), path.name))
        assert not [each for each in TELLING if each in refused.value.message], refused.value.message


def test_names_are_masked_before_they_are_cut() -> None:
    assert shortened("x" * 50 + " " + PRIVATE["key"]) == "'" + "x" * 50 + " [an acce…"
    assert shortened("ask at maria.perez@unam-correo.mx") == "'ask at [an e-mail address]'"
    assert [described(value) for value in (None, True, 3, 0.5, 5512345678, "abc", ["a"], {"a": 1}, b"")] == [
        "null", "true", "3", "0.5", "a number of many digits", "a text of 3 characters", "a list of 1 value",
        "an object of 1 field", "a value of the type bytes",
    ]  # fmt: skip
