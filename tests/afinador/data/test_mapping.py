"""What mappings make of records, and how much of it."""

import json
from pathlib import Path

import pytest

from afinador.data.files.mapping import MOST_CHARACTERS, mapped
from afinador.data.preparation import Pipeline
from afinador.data.records import Problem, Record
from afinador.data.validation import load_examples, validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading


@pytest.mark.parametrize(
    "mapping",
    [{"prompt": "{a}" * 3000}, {"messages": [{"role": "user", "content": "{a}"}] * 150, "tools": ["{a}" * 3000]}],
)
def test_templates_make_no_more_of_a_record_than_is_allowed(mapping):
    longest = Record(7, {"a": "x" * (MOST_CHARACTERS // 3000 + 1)})
    short = Record(8, {"a": "x"})
    stopped, whole = mapped(iter([longest, short]), mapping)
    assert isinstance(stopped, Problem) and stopped.code == "template_too_long" and stopped.line == 7
    assert "Line 7: the mapping makes more than 16 Mi characters of it." in stopped.message
    assert isinstance(whole, Record)


def test_templates_make_no_more_of_a_file_than_what_is_packed_may_become(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.files.mapping.BYTES_WITHOUT_RATIO", 200_000)
    template = {"prompt": "{a}" + "y" * 9_990}
    made = list(mapped((Record(line, {"a": "x"}) for line in range(1, 1000)), template))
    assert isinstance(made[-1], Problem) and made[-1].code == "unreadable_file"
    assert "more than 200 times as much text as the file has" in made[-1].message
    assert len(made) == 200_000 // 9_991 + 2
    long = list(mapped((Record(line, {"a": "x" * 60}) for line in range(1, 1000)), template))
    assert len(long) == 999 and all(isinstance(each, Record) for each in long)


def test_a_template_in_whose_places_nothing_comes_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a,b\nWhy?,So.,x\nHow?, ,\nWho?,,y\n")
    told = validate_dataset(
        path, path.name, DatasetReading(mapping={"prompt": "Q: {q}", "completion": "Answer: {a}{b} {{}}"})
    )
    assert [(error.code, error.line, error.field) for error in told.errors] == [("empty_field", 3, "completion")]
    (record,) = mapped(iter([Record(1, {"a": ""})]), {"messages": [{"role": "user", "content": "{{a}} {a}"}]})
    assert isinstance(record, Record) and record.fields == {"messages": [{"role": "user", "content": ""}]}


def test_null_is_a_gap_of_a_template_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"q": None, "a": "b"}, {"q": {"x": None}, "a": "b"}, {"q": "null", "a": "b"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second, third = mapped(
        (Record(line, row) for line, row in enumerate(rows, start=1)), {"prompt": "Question: {q}", "completion": "a"}
    )
    assert isinstance(first, Problem) and (first.code, first.line) == ("unmapped_column", 1)
    assert "'q' is null, and a template of the mapping takes 'prompt' from it. Write a value" in first.message
    assert isinstance(second, Record) and isinstance(third, Record)
    report = validate_dataset(path, path.name, DatasetReading(mapping={"text": "{q.x}"}))
    assert [error.line for error in report.errors] == [1, 2, 3]


def test_all_columns_that_a_record_lacks_are_told_and_it_stays_one_record(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": null, "a": "b"}\n{"q": "c", "a": "d"}\n')
    mapping = {"prompt": "{q} {quest} {quest}", "completion": "anwser"}
    report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
    assert [(each.line, each.field, each.message.split(",")[0]) for each in report.errors] == [
        (1, "prompt", "Line 1: 'q' is null"),
        (1, "prompt", "Line 1 has no column 'quest'"),
        (1, "completion", "Line 1 has no column 'anwser'"),
        (2, "prompt", "Line 2 has no column 'quest'"),
        (2, "completion", "Line 2 has no column 'anwser'"),
    ]
    assert (report.records, report.refused, report.counts["unmapped_column"]) == (2, 2, 5)
    with pytest.raises(DataError, match="'q' is null"):
        list(load_examples(path, "jsonl", DatasetReading(mapping=mapping)))


DEEP = {
    "metadata": {"title": "Emma", "year": None, "parts": []},
    "messages": [{"content": "Hi"}],
    "ok": True,
    "a.b": "dotted",
}


def prepared(template: str) -> str:
    step = {"type": "transform", "operation": "template", "field": "text", "template": template}
    (row,) = Pipeline([step]).run([Record(3, DEEP)], "a.jsonl")
    return str(row.record.fields["text"])


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{{metadata.title}}}: { messages.0.content }", "{Emma}: Hi"),
        ("{a.b} {ok} {messages}", 'dotted true [{"content": "Hi"}]'),
    ],
)
def test_templates_of_mappings_and_of_preparation_are_filled_alike(template: str, text: str) -> None:
    (record,) = mapped(iter([Record(3, DEEP)]), {"text": template})
    assert isinstance(record, Record) and record.fields == {"text": text} == {"text": prepared(template)}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("titel", "'titel'"),
        ("metadata.titel", "'metadata' has: 'title', 'year', 'parts'. Did you mean 'title'?"),
        ("messages.1.content", "'messages' has values 0 to 0."),
        ("messages.first", "'messages' has values 0 to 0."),
        ("metadata.parts.0", "'metadata.parts' has no value."),
        ("metadata.title.0", "'metadata.title' is a text of 4 characters."),
        ("metadata.year", "'metadata.year' is null, and "),
    ],
)
def test_places_that_lead_nowhere_are_told_alike(place: str, said: str) -> None:
    (problem,) = mapped(iter([Record(3, DEEP)]), {"text": f"{{{place}}}"})
    assert isinstance(problem, Problem) and "Line 3" in problem.message and said in problem.message
    with pytest.raises(DataError) as refused:
        prepared(f"{{{place}}}")
    assert "Line 3" in refused.value.message and said in refused.value.message
