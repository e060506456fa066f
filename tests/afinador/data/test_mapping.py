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
    path.write_text('{"q": null, "a": "b"}\n{"q": "c", "a": "d"}\n{"q": "e", "quest": "f", "anwser": "g"}\n')
    mapping = {"prompt": "{q} {quest} {quest}", "completion": "anwser"}
    report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
    assert [(each.line, each.field, each.message.split(",")[0]) for each in report.errors] == [
        (1, "prompt", "Line 1: 'q' is null"),
        (1, "prompt", "Line 1 has no column 'quest'"),
        (1, "completion", "Line 1 has no column 'anwser'"),
        (2, "prompt", "Line 2 has no column 'quest'"),
        (2, "completion", "Line 2 has no column 'anwser'"),
    ]
    assert (report.records, report.refused, report.counts["unmapped_column"]) == (3, 2, 5)
    with pytest.raises(DataError, match="'q' is null"):
        list(load_examples(path, "jsonl", DatasetReading(mapping=mapping)))


@pytest.mark.parametrize(
    ("mapping", "shape", "said"),
    [
        (
            {"promt": "question", "completion": "answer"},
            None,
            "the fields 'promt', 'completion'; they need 'prompt' and 'completion'. Did you mean 'prompt' by 'promt'?",
        ),
        ({"prompt": "question"}, None, "the fields 'prompt'; they need 'prompt' and 'completion'."),
        ({"what": "question"}, None, "the fields 'what'; they need 'messages' or 'conversations' or 'prompt' and"),
        (
            {"text": "question", "lable": "answer"},
            "text_label",
            "they need 'text' and 'label', as the shape is declared as text_label. Did you mean 'label' by 'lable'?",
        ),
    ],
)
def test_a_mapping_that_makes_records_of_no_shape_is_told_once_and_not_its_records(
    mapping: dict[str, str], shape: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\n" + "q,a\n" * 20)
    reading = DatasetReading(mapping=mapping, shape=shape)
    report = validate_dataset(path, path.name, reading)
    (told,) = report.errors
    assert told.code == "unusable_mapping" and told.line is None and report.records == 0
    assert said in told.message and told.message.endswith(
        " Correct the fields of the mapping, which stand on its left."
    )
    with pytest.raises(DataError, match="The mapping makes records"):
        list(load_examples(path, "csv", reading))


@pytest.mark.parametrize("rows", [2, 99, 100, 250])
@pytest.mark.parametrize("extension", [".jsonl", ".csv"])
def test_a_column_that_no_record_has_is_told_once(tmp_path: Path, rows: int, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    lines = ["question,answer", *(f"q{at},a{at}" for at in range(rows))]
    if extension == ".jsonl":
        lines = ["no json", *(json.dumps({"question": f"q{at}", "answer": f"a{at}"}) for at in range(rows))]
    path.write_text("\n".join(lines) + "\n")
    mapping = {"prompt": "Q: {qestion}", "completion": "anser"}
    report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
    told = [each for each in report.errors if each.code == "unknown_column"]
    assert [each.field for each in told] == ["prompt", "completion"] and report.counts["unknown_column"] == 2
    among = "the first 100 records" if rows >= 100 else "the records"
    assert told[1].message == (
        f"None of {among} has a column 'anser', from which the mapping takes 'completion'. Line 2: it has: 'question', "
        "'answer'. Did you mean 'answer'? Correct the mapping."
    )
    assert ("json_syntax" in report.counts) is (extension == ".jsonl")
    with path.open("a") as file:  # the first of all that has them
        file.write('{"qestion": "q", "anser": "a"}\n' if extension == ".jsonl" else "")
    if extension == ".jsonl" and rows < 100:
        report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
        assert report.counts == {"json_syntax": 1, "unmapped_column": 2 * rows, "few_records": 1}
        assert (report.records, report.refused) == (rows + 2, rows + 1)


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


def test_columns_of_questions_with_their_documents_are_for_the_step_raft(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "q", "document": "d", "answer": "a"}\n' * 2)
    (error,) = validate_dataset(path, path.name).errors
    assert "make records of the shape raft of them by a preparation with the step {type: raft}" in error.message
    assert 'metadata": ' not in error.message


@pytest.mark.parametrize(
    ("given", "prompt"), [(None, "instruction"), ("", "instruction"), ("x", "{instruction}\\n{input}")]
)
def test_pairs_of_llama_factory_are_told_their_mapping_and_are_read_by_it(
    tmp_path: Path, given: str | None, prompt: str
) -> None:
    path = tmp_path / "a.jsonl"
    pair = {"instruction": "What?", "input": given, "chosen": "This.", "rejected": "That."}
    path.write_text(json.dumps({name: value for name, value in pair.items() if value is not None}) + "\n")
    (error,) = validate_dataset(path, path.name).errors
    mapping = f'{{"prompt": "{prompt}", "chosen": "chosen", "rejected": "rejected"}}'
    assert error.message.endswith(f"name it by a mapping (option --mapping, or reading.mapping): '{mapping}'.")
    assert validate_dataset(path, path.name, DatasetReading(mapping=json.loads(mapping))).is_valid
