"""What the steps of a preparation do, what they refuse, and that what is written is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.preparation import Condition, prepare
from afinador.data.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.saved_datasets import read_saved_dataset
from afinador.data.writers import EXTENSIONS, write_records
from afinador.errors import AfinadorError, DataError, InvalidRequestError

ROWS = [
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
    {"text": "Hm", "label": "No"},
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
]


def run(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> list[dict[str, Any]]:
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    return [record.fields for record in prepare(found, "rows", steps)]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"type": "filter", "condition": "length > 10"}, [ROWS[0], ROWS[2]]),
        ({"type": "filter", "condition": "length <= 4"}, [ROWS[1]]),  # of all texts together: "Hm" and "No"
        ({"type": "filter", "condition": "length == 2", "field": "text"}, [ROWS[1]]),
        ({"type": "filter", "condition": "words>=2 and words != 4"}, [ROWS[1]]),
        ({"type": "deduplicate"}, ROWS[:2]),
        ({"type": "rename", "fields": {"text": "prompt", "label": "completion"}}, None),
        ({"type": "transform", "operation": "lowercase"}, None),
        ({"type": "transform", "operation": "collapse_spaces", "field": "text"}, None),
    ],
)
def test_each_step_does_what_its_name_says(step: dict[str, Any], expected: list[dict[str, Any]] | None) -> None:
    made = {
        "rename": {"prompt": "  The Cat\nsleeps ", "completion": "Yes"},
        "lowercase": {"text": "  the cat\nsleeps ", "label": "yes"},
        "collapse_spaces": {"text": "The Cat sleeps", "label": "Yes"},
    }
    found = run(ROWS, step)
    if expected is None:
        assert found[0] == made[step.get("operation", step["type"])] and len(found) == 3
    else:
        assert found == expected


def test_steps_are_taken_in_their_order() -> None:
    strip = {"type": "transform", "operation": "strip"}
    long = {"type": "filter", "condition": "length >= 20"}
    assert len(run(ROWS, long, strip)) == 2
    assert run(ROWS, strip, long) == []


def test_texts_of_conversations_are_those_of_their_messages() -> None:
    talk = [{"role": "user", "content": "HELLO there"}, {"role": "assistant", "content": None}]
    lower = {"type": "transform", "operation": "lowercase"}
    assert run([{"messages": talk}], lower, {"type": "filter", "condition": "length == 11"}) == [
        {"messages": [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": None}]}
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"type": "augment"}, "filter, transform, rename, deduplicate"),
        ({}, "filter, transform, rename, deduplicate"),
        ("lowercase", "must be one of: filter"),
        ({"type": "transform", "operation": "lower"}, "Did you mean 'lowercase'"),
        ({"type": "transform"}, "lowercase, uppercase, strip"),
        ({"type": "transform", "operation": "strip", "fields": ["a"]}, "it takes: operation, field"),
        ({"type": "deduplicate", "by": "text"}, "it takes: nothing"),
        ({"type": "rename", "fields": ["a"]}, "old and new names"),
        ({"type": "filter", "condition": "length > ten"}, "length or words"),
        ({"type": "filter", "condition": "__import__('os')"}, "length or words"),
        ({"type": "filter", "condition": "length > 1 or length < 2"}, "length > 10"),
        ({"type": "filter"}, "length > 10"),
    ],
)
def test_what_is_no_step_is_refused_with_what_there_is(step: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        run(ROWS, step)
    assert said in refused.value.message and "\n" not in refused.value.message


@pytest.mark.parametrize(
    "step",
    [
        {"type": "filter", "condition": "length > 1", "field": "txt"},
        {"type": "transform", "operation": "strip", "field": "txt"},
        {"type": "rename", "fields": {"txt": "prompt"}},
    ],
)
def test_a_field_that_is_not_there_is_named_with_the_nearest(step: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"Line 1 has no field 'txt'.*Did you mean 'text'"):
        run(ROWS, step)


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="two fields of one name"):
        run(ROWS, {"type": "rename", "fields": {"text": "label"}})


def test_what_cannot_be_read_ends_the_preparation() -> None:
    broken = [Record(1, {"text": "a"}), Problem("json_syntax", "Line 2 is no JSON.", 2)]
    with pytest.raises(DataError, match=r"data\.jsonl: Line 2 is no JSON"):
        list(prepare(broken, "data.jsonl", []))


def test_a_condition_is_what_it_says() -> None:
    assert Condition.parse(" length>10 and words < 3 ").comparisons == (("length", ">", 10), ("words", "<", 3))
    assert Condition.parse("length != 2").holds(["a", "bc"]) and not Condition.parse("words == 2").holds(["a b c"])


AWKWARD = [
    {"text": 'He said "no"; she, "yes"\nand\r\nleft', "label": "sep=,"},
    {"text": "a\rb", "label": " 007 "},
    {"text": "ü€🙂", "label": ""},
]


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_what_is_written_is_read_again(format: Any, tmp_path: Path) -> None:
    path = tmp_path / f"rows{EXTENSIONS[format]}"
    assert write_records(iter([Record(n, row) for n, row in enumerate(AWKWARD)]), path, format) == 3
    assert [record.fields for record in read_records(path, format) if isinstance(record, Record)] == AWKWARD
    assert list(tmp_path.iterdir()) == [path]


def test_documents_are_parted_by_blank_lines(tmp_path: Path) -> None:
    documents = [{"text": "one\ntwo"}, {"text": "three"}]
    write_records(iter([Record(1, row) for row in documents]), tmp_path / "a.txt", "text")
    assert [
        found.fields for found in read_records(tmp_path / "a.txt", "text") if isinstance(found, Record)
    ] == documents


@pytest.mark.parametrize(
    ("format", "rows", "said"),
    [
        ("csv", [{"a": "1"}, {"b": "2"}], "Line 2 has the fields b, the first record a"),
        ("csv", [{"messages": []}], "'messages' is neither text nor a number"),
        ("text", [{"text": "a", "label": "b"}], "plain text holds 'text' alone"),
        ("text", [{"text": "a\n\nb"}], "blank line"),
        ("jsonl", [{"when": Path("x")}], "holds what JSON cannot"),
        ("json", [{"x": float("nan")}], "holds what JSON cannot"),
        ("jsonl", [{"x": "\ud800"}], "half a surrogate pair"),
        ("jsonl", [], "No record is left"),
    ],
)
def test_what_does_not_fit_is_not_written(format: Any, rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(AfinadorError, match=said):
        write_records(iter([Record(n, row) for n, row in enumerate(rows, 1)]), tmp_path / "made", format)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_datasets_library_is_read(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list(
        [{"text": "a", "label": "b", "note": None}, {"text": "c", "label": "d", "note": "e"}]
    )
    rows.save_to_disk(tmp_path / "rows")
    datasets.DatasetDict(train=rows.select([1]), test=rows).save_to_disk(tmp_path / "splits")
    datasets.DatasetDict(test=rows).save_to_disk(tmp_path / "untrained")
    assert next(read_saved_dataset(tmp_path / "rows")).fields == {"text": "a", "label": "b"}
    assert [json.dumps(record.fields) for record in read_saved_dataset(tmp_path / "splits")] == [
        '{"text": "c", "label": "d", "note": "e"}'
    ]
    for folder, said in (("untrained", "no 'train'"), ("none", "save_to_disk"), (".", "holds no data set")):
        with pytest.raises(DataError, match=said):
            list(read_saved_dataset(tmp_path / folder))
