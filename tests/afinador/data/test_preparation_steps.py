"""What the steps of a preparation do with records, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afinador.data.preparation import STEPS, Pipeline, run_to_file
from afinador.data.preparation.texts import WRITTEN
from afinador.data.records import Record
from afinador.data.shapes import SHAPES
from afinador.errors import DataError
from tests.afinador.data.prepared import NUMBERED, ROWS, run, tallied


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"type": "filter", "condition": "length > 10"}, [ROWS[0], ROWS[2]]),
        ({"type": "filter", "condition": "length <= 4"}, [ROWS[1]]),  # of all texts together: "Hm" and "No"
        ({"type": "filter", "condition": "length == 2", "field": "text"}, [ROWS[1]]),
        ({"type": "filter", "condition": "words>=2 and words != 4"}, [ROWS[1]]),
        ({"type": "filter", "condition": "not (label == 'Yes' or text contains 'x')"}, [ROWS[1]]),
        ({"type": "deduplicate"}, ROWS[:2]),
        ({"type": "rename", "fields": {"text": "prompt", "label": "completion"}}, None),
        ({"type": "transform", "operation": "lowercase"}, None),
        ({"type": "transform", "operation": "collapse_spaces", "field": "text"}, None),
    ],
)
def test_each_step_does_what_its_name_says(step: dict[str, Any], expected: list[dict[str, Any]] | None) -> None:
    made = {
        "rename": {"prompt": "  The Cat\nsleeps ", "completion": "Yes"},
        "lowercase": {"text": "  the cat\nsleeps ", "label": "Yes"},
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
    ("step", "before", "after"),
    [
        ({"operation": "nfkc"}, {"text": "ﬁn ①", "n": 3}, {"text": "fin 1", "n": 3}),
        ({"operation": "nfc"}, {"text": "e\u0301"}, {"text": "é"}),
        ({"operation": "replace", "pattern": "([0-9]+) kg", "replacement": "\\1 kilos"}, {"text": "5 kg"}, {"text": "5 kilos"}),
        ({"operation": "replace", "pattern": "\\s+$"}, {"text": "x ", "b": "y "}, {"text": "x", "b": "y "}),
        ({"operation": "truncate", "characters": 3}, {"text": "abcdef"}, {"text": "abc"}),
        ({"operation": "truncate", "characters": 3, "keep": "end"}, {"text": "abcdef"}, {"text": "def"}),
        ({"operation": "truncate", "words": 2}, {"text": " one  two three"}, {"text": " one  two"}),
        ({"operation": "truncate", "words": 2, "keep": "end"}, {"text": "one two  three "}, {"text": "two  three "}),
        ({"operation": "template", "field": "prompt", "template": "{{{q}}} {meta.year}"}, {"q": "Q", "meta": {"year": 5}}, {"q": "Q", "meta": {"year": 5}, "prompt": "{Q} 5"}),
        ({"operation": "rename", "fields": {"a": "b"}}, {"a": 1, "c": 2}, {"b": 1, "c": 2}),
        ({"operation": "uppercase"}, {"conversations": [{"from": "human", "value": "hi"}]}, {"conversations": [{"from": "human", "value": "HI"}]}),
        ({"operation": "uppercase"}, {"distractors": ["a"], "metadata": {"title": "t", "year": 1}}, {"distractors": ["A"], "metadata": {"title": "t", "year": 1}}),
        ({"operation": "uppercase", "field": "metadata"}, {"text": "a", "metadata": {"title": "t", "year": 1}}, {"text": "a", "metadata": {"title": "T", "year": 1}}),
        ({"operation": "uppercase"}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "A"}]}]}),
    ],
)  # fmt: skip
def test_each_operation_does_what_its_name_says(
    step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert run([before], {"type": "transform", **step}) == [after]


def test_only_what_people_wrote_is_changed_where_no_field_is_named() -> None:
    call = {"id": "Call1", "type": "function", "function": {"name": "getWeather", "arguments": '{"cityName":"Lima"}'}}
    declared = {"type": "function", "function": {"name": "getWeather", "parameters": {"required": ["cityName"]}}}
    chat = {
        "id": "A1",
        "tools": [declared],
        "messages": [
            {"role": "user", "name": "Ana", "content": "How Is It?"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "Call1", "content": '{"Sky": "Blue"}'},
            {"role": "assistant", "content": "Fine"},
        ],
    }
    spoken = {"from": "function_call", "value": '{"name": "getWeather"}'}
    shared = {"conversations": [{"from": "human", "value": "Sun?"}, spoken], "tools": '[{"name": "getWeather"}]'}
    header = {"document": "Tesis", "type": "Tesis", "schema": {"type": "Object"}, "metadata": {"title": "T"}}
    kept, tallies = tallied([chat, shared, header], {"type": "transform", "operation": "lowercase"})
    said = chat["messages"]
    assert kept == [
        {**chat, "messages": [{**said[0], "content": "how is it?"}, *said[1:3], {**said[3], "content": "fine"}]},
        {**shared, "conversations": [{"from": "human", "value": "sun?"}, spoken]},
        {**header, "document": "tesis"},
    ]
    assert tallies[0].counts == {"messages": 1, "conversations": 1, "document": 1} and tallies[0].changed == 3
    counted = tallied([{"text": "A", "n": float("nan")}], {"type": "transform", "operation": "lowercase"})[1][0].counts
    assert counted == {"text": 1}
    with pytest.raises(DataError, match=r"Record 1 has the fields 'body'; without 'field' only .* Name the field"):
        tallied([{"body": "A"}], {"type": "transform", "operation": "lowercase"})
    machine = {"label", "tools", "metadata", "type", "schema"}
    assert {name for shape in SHAPES.values() for name in (*shape.fields, *shape.optional)} == {*WRITTEN} | machine


def test_fields_are_left_out() -> None:
    assert run([{"id": 1, "text": "a"}, {"text": "b"}], {"type": "remove", "fields": ["id"]}) == [
        {"text": "a"},
        {"text": "b"},
    ]


def test_shapes_are_converted_on_the_way() -> None:
    steps = [
        {"type": "rename", "fields": {"text": "prompt", "label": "completion"}},
        {"type": "convert", "to": "messages"},
    ]
    made = run(ROWS[:1], *steps)
    assert [message["content"] for message in made[0]["messages"]] == list(ROWS[0].values())
    assert run(made, {"type": "convert", "to": "text_label"}) == ROWS[:1]
    with pytest.raises(
        DataError, match=r"Line 1 has the fields 'txt', which are of no known shape.*Did you mean 'text'"
    ):
        run([{"txt": "a"}], {"type": "convert", "to": "messages"})


def test_a_conversion_says_what_it_writes_otherwise() -> None:
    labels = [{"text": "a", "label": label} for label in (1, "1", 1.5)]
    made, tallies = tallied(labels, {"type": "convert", "to": "messages"})
    assert [row["messages"][1]["content"] for row in made] == ["1", "1", "1.5"]
    assert (tallies[0].changed, tallies[0].counts) == (3, {"label_otherwise": 2})


def test_every_step_says_what_it_did(tmp_path: Path) -> None:
    steps = [
        {"type": "deduplicate"},
        {"type": "filter", "condition": "length(text) > 5"},
        {"type": "transform", "operation": "replace", "pattern": "text 1$", "replacement": "text one"},
        {"type": "split", "validation": 0.25},
        {"type": "sample", "records": 10, "only": "validation"},
    ]
    rows = [Record(n, row) for n, row in enumerate([*NUMBERED, NUMBERED[0]], start=1)]
    prepared = run_to_file(rows, "rows", Pipeline(steps), tmp_path / "made.jsonl", "jsonl")
    told = prepared.to_json()
    assert (told["source"], told["records"]) == ("rows", 201)
    assert told["steps"] == [
        {"type": "deduplicate", "rows_in": 201, "rows_out": 200, "changed": 0, "counts": {"exact": 1}},
        {"type": "filter", "rows_in": 200, "rows_out": 200, "changed": 0},
        {"type": "transform", "rows_in": 200, "rows_out": 200, "changed": 1, "counts": {"text": 1}},
        {"type": "split", "rows_in": 200, "rows_out": 200, "changed": 0, "parts": {"validation": 50, "train": 150}},
        {"type": "sample", "rows_in": 50, "rows_out": 10, "changed": 0},
    ]
    assert [(file["part"], file["records"], Path(file["path"]).name) for file in told["files"]] == [
        ("train", 150, "made-train.jsonl"),
        ("validation", 10, "made-validation.jsonl"),
    ]
    for file in prepared.files:
        assert len(file.path.read_text().splitlines()) == file.records and file.bytes == file.path.stat().st_size


def test_every_step_and_key_is_described() -> None:
    assert all(kind.description.endswith(".") and all(kind.keys.values()) for kind in STEPS.values())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.builds(dict, text=st.text("aB é", max_size=4), label=st.sampled_from("xy"))), st.integers(0, 3))
def test_rows_in_out_and_changed_are_those_counted_another_way(rows: list[dict[str, Any]], least: int) -> None:
    steps = ({"type": "filter", "condition": f"length(text) > {least}"}, {"type": "transform", "operation": "lowercase"},
             {"type": "deduplicate"}, {"type": "sample", "records": 3, "seed": 1}, {"type": "shuffle"})  # fmt: skip
    kept, tallies = tallied(rows, *steps)
    long = [row for row in rows if len(row["text"]) > least]
    distinct = {(row["text"].lower(), row["label"]) for row in long}
    came = [len(rows), len(long), len(long), len(distinct), min(3, len(distinct))]
    assert [tally.rows_in for tally in tallies] == came
    assert [tally.rows_out for tally in tallies] == [*came[1:], came[-1]]
    assert tallies[1].changed == sum("B" in row["text"] for row in long)
    assert {(row["text"], row["label"]) for row in kept} <= distinct and len(kept) == came[-1]
