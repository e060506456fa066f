"""What the steps of a preparation do, what they refuse, and that what is written is read again."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from afinador.data.files import writers
from afinador.data.files.readers import read_records
from afinador.data.files.saved_datasets import read_saved_dataset
from afinador.data.files.writers import EXTENSIONS, write_records
from afinador.data.preparation import (
    STEPS,
    Means,
    Pipeline,
    Tally,
    format_of_name,
    patterns,
    prepare,
    prepare_file,
    run_to_file,
)
from afinador.data.preparation.texts import WRITTEN
from afinador.data.records import Problem, Record
from afinador.data.shapes import SHAPES
from afinador.errors import AfinadorError, DataError, InvalidRequestError

ROWS = [
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
    {"text": "Hm", "label": "No"},
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
]


def run(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> list[dict[str, Any]]:
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    return [record.fields for record in prepare(found, "rows", steps)]


def test_a_label_that_is_null_in_a_table_stays_a_fault_and_can_be_filtered_out(tmp_path: Path) -> None:
    rows = {"text": ["a", "b"], "label": ["x", None], "id": [1, None]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "a.parquet")
    for steps, expected in (
        ([], [{"text": "a", "label": "x", "id": 1}, {"text": "b", "label": None}]),
        ([{"type": "filter", "condition": "label != null"}], [{"text": "a", "label": "x", "id": 1}]),
    ):
        prepare_file(tmp_path / "a.parquet", steps, target=tmp_path / "b.jsonl", overwrite=True)
        assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == expected


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
    ("step", "said"),
    [
        (
            {"type": "filtr"},
            "type of step 1 is 'filtr'; it must be one of: filter, transform, rename, remove, deduplicate",
        ),
        ({"type": "filtr"}, "Did you mean 'filter'"),
        ({}, "filter, transform, rename"),
        ("lowercase", "step 1 is 'lowercase'"),
        ({"type": ["filter"]}, "must be one of: filter"),
        ({"type": "transform", "operation": "lower"}, "Step 1 (transform): operation is 'lower'; it must be one of"),
        ({"type": "transform", "operation": "lower"}, "Did you mean 'lowercase'"),
        ({"type": "transform"}, "operation is missing; it must be one of: lowercase, uppercase, strip"),
        ({"type": "transform", "operation": "strip", "fields": ["a"]}, "it takes: operation, field, only"),
        ({"type": "transform", "operation": "strip", "field": 3}, "field is 3; it must be the name of a field"),
        ({"type": "transform", "operation": "replace", "pattern": "("}, "is no regular expression: missing )"),
        (
            {"type": "transform", "operation": "replace", "pattern": "(a)", "replacement": "\\2"},
            "does not fit the pattern",
        ),
        (
            {"type": "convert", "to": "raft"},
            "it must be one of: messages, sharegpt, prompt_completion, preference, openai_preference, alpaca, text_label, source_target.",
        ),
        ({"type": "transform", "operation": "replace", "pattern": "a" * 1001}, "has 1001 characters; at most 1000"),
        ({"type": "transform", "operation": "truncate"}, "by 'characters' or by 'words'; give one"),
        ({"type": "transform", "operation": "truncate", "words": 0}, "words is 0; it must be a whole number from 1"),
        ({"type": "transform", "operation": "template", "field": "a", "template": "{text"}, "brace at character 1"),
        ({"type": "deduplicate", "by": "text"}, "it takes: field, fields, near, only"),
        ({"type": "deduplicate", "near": 0.2}, "near is 0.2; it must be a number from 0.5 to 1"),
        ({"type": "deduplicate", "field": "a", "fields": ["b"]}, "takes 'field' or 'fields'; give one"),
        ({"type": "tokenize"}, "Step 1 (tokenize): no base model is named"),
        ({"type": "rename", "fields": ["a"]}, "old and new names"),
        ({"type": "remove", "fields": "id"}, "a list of names of fields"),
        ({"type": "filter"}, "condition is missing; it must be a condition, such as 'length > 10'"),
        ({"type": "sample"}, "takes 'records' or 'share'; give one"),
        ({"type": "sample", "share": 2}, "share is 2; it must be a number from 0 to 1"),
        ({"type": "sample", "records": True}, "a whole number from 1"),
        ({"type": "shuffle", "seed": -1}, "seed is -1"),
        ({"type": "split", "train": 0.5, "test": 0.6}, "train 0.5, test 0.6; together they must be 1"),
        ({"type": "split", "validation": 1}, "train more than 0"),
        ({"type": "augment", "noises": ["typos"]}, "a list of: swap_characters"),
        ({"type": "deduplicate", "only": "train"}, "put a split before it"),
        ({"type": "convert", "to": "chat"}, "to is 'chat'; it must be one of: messages, sharegpt"),
        ({"type": "convert", "to": "messages", "from": "raft"}, "with flatten: true it can"),
        ({"type": "raft", "documents": "other"}, "cannot be read here"),
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


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("filter", "The steps are 'filter'; they must be a list of objects"),
        (None, "The steps are null"),
        ({"step": []}, "A pipeline has no 'step'; it has: steps. Did you mean 'steps'?"),
        ([{"type": "shuffle"}] * 101, "There are 101 steps; at most 100"),
        ([{"type": "split"}, {"type": "split"}], "Step 2 (split): a step before it has split"),
        ([{"type": "augment"}, {"type": "split"}], "Put augment behind it, where it works on train alone"),
        (
            [{"type": "split"}, {"type": "augment", "only": "validation"}],
            "Step 2 (augment): only is 'validation', and noise",
        ),
        ([{"type": "split"}, {"type": "shuffle", "only": "training"}], "it must be one of: train, validation"),
    ],
)
def test_what_is_no_pipeline_is_refused(steps: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        Pipeline(steps)
    assert said in refused.value.message


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


def test_a_pattern_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.preparation.patterns.SECONDS_PER_TEXT", 0.1)
    evil = {"type": "transform", "operation": "replace", "pattern": "(a|aa)+$"}
    with pytest.raises(DataError, match=r"Step 1 \(transform\).*took longer than 0.1 s on line 1. Write it without"):
        run([{"text": "a" * 80 + "b"}], evil)


NUMBERED = [{"text": f"text {n}", "label": "yes" if n % 4 else "no", "customer": n // 3} for n in range(200)]


def test_samples_and_orders_are_decided_by_their_seeds() -> None:
    drawn = run(NUMBERED, {"type": "sample", "records": 20, "seed": 1})
    assert len(drawn) == 20 and drawn == [row for row in NUMBERED if row in drawn]
    assert drawn == run(NUMBERED, {"type": "sample", "records": 20, "seed": 1})
    assert drawn != run(NUMBERED, {"type": "sample", "records": 20, "seed": 2})
    assert 60 < len(run(NUMBERED, {"type": "sample", "share": 0.5})) < 140
    mixed = run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert mixed != NUMBERED and mixed == run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert sorted(mixed, key=NUMBERED.index) == NUMBERED


def test_what_does_not_fit_into_memory_is_shuffled_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.preparation.shuffle.BYTES_IN_MEMORY", 1000)
    mixed = run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert mixed != NUMBERED and sorted(mixed, key=NUMBERED.index) == NUMBERED


def parts_of(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> dict[str | None, list[dict[str, Any]]]:
    found = (Record(number, row) for number, row in enumerate(rows, start=1))
    parts: dict[str | None, list[dict[str, Any]]] = {}
    for row in Pipeline(list(steps)).run(found, "rows"):
        parts.setdefault(row.part, []).append(row.record.fields)
    return parts


def test_parts_have_their_shares_and_their_share_of_each_label() -> None:
    split = {"type": "split", "validation": 0.1, "test": 0.2, "stratify": "label", "seed": 3}
    parts = parts_of(NUMBERED, split)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 140, "validation": 20, "test": 40}
    for rows in parts.values():
        assert sum(row["label"] == "no" for row in rows) == len(rows) / 4
    assert parts == parts_of(NUMBERED, split)
    assert sorted((row for rows in parts.values() for row in rows), key=NUMBERED.index) == NUMBERED


def test_groups_and_equal_records_stay_together() -> None:
    parts = parts_of(NUMBERED, {"type": "split", "validation": 0.3, "group": "customer"})
    customers = {part: {row["customer"] for row in rows} for part, rows in parts.items()}
    assert not customers["train"] & customers["validation"]
    assert 0.2 < len(parts["validation"]) / len(NUMBERED) < 0.4
    parts = parts_of(NUMBERED * 3, {"type": "split", "validation": 0.2})
    assert not [row for row in parts["validation"] if row in parts["train"]] and len(parts["validation"]) == 120


@pytest.mark.parametrize(
    "texts",
    [
        lambda number: {"text": f"text {number}", "label": "yes"},
        lambda number: {"prompt": f"q {number}", "completion": "a"},
        lambda number: {"messages": [{"role": "user", "content": f"{number}"}, {"role": "assistant", "content": "a"}]},
    ],
)
def test_records_that_differ_in_an_id_alone_stay_together_and_it_is_told(texts: Any) -> None:
    rows = [{"id": 100 * copy + number, **texts(number), "date": copy} for copy in range(3) for number in range(20)]
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    pipeline = Pipeline([{"type": "split", "validation": 0.3}])
    parts: dict[str, set[int]] = {"train": set(), "validation": set()}
    for row in pipeline.run(found, "rows"):
        parts[str(row.part)].add(row.record.fields["id"] % 100)
    assert not parts["train"] & parts["validation"]
    assert pipeline.tallies[0].counts == {"kept_together": 60}
    assert pipeline.tallies[0].parts == {"train": 42, "validation": 18}
    alone = Pipeline([{"type": "split", "validation": 0.3}])
    assert len(list(alone.run(found[:20], "rows"))) == 20 and alone.tallies[0].counts == {}
    kept = Pipeline([{"type": "split", "validation": 0.3, "group": "date"}])
    by_date = {row.record.fields["date"]: row.part for row in kept.run(found, "rows")}
    assert set(by_date.values()) == {"train", "validation"} and kept.tallies[0].counts == {"kept_together": 60}


def test_a_part_that_gets_nothing_is_said() -> None:
    with pytest.raises(DataError, match=r"the part validation gets none of 3 records in 1 group\."):
        parts_of([ROWS[0]] * 3, {"type": "split"})


def test_noise_is_in_what_is_asked_and_in_the_training_part_alone() -> None:
    noise = {"type": "augment", "copies": 2, "rate": 0.5}
    parts = parts_of(NUMBERED, {"type": "split", "validation": 0.5}, noise)
    assert parts == parts_of(NUMBERED, {"type": "split", "validation": 0.5}, {**noise, "only": "train"})
    assert len(parts["validation"]) == 100 and all(row in NUMBERED for row in parts["validation"])
    made = [row for row in parts["train"] if row not in NUMBERED]
    assert len(parts["train"]) == 100 + len(made) and 100 < len(made) <= 200
    assert {row["label"] for row in made} == {"yes", "no"}
    assert parts == parts_of(NUMBERED, {"type": "split", "validation": 0.5}, noise)
    talk = [{"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four five six"}]
    copies = run([{"messages": talk}], {"type": "augment", "rate": 1})[1:]
    assert copies[0]["messages"][1] == talk[1] and copies[0]["messages"][0] != talk[0]
    with pytest.raises(DataError, match="Line 1 is of the shape text, which is learnt whole"):
        run([{"text": "a b"}], {"type": "augment"})


@pytest.mark.parametrize(
    ("noise", "changed"),
    [("swap_characters", "ba"), ("drop_character", ("a", "b")), ("repeat_character", ("aab", "abb")), ("change_case", "AB")],
)  # fmt: skip
def test_each_noise_does_what_its_name_says(noise: str, changed: Any) -> None:
    rows = run([{"text": "ab", "label": "x"}], {"type": "augment", "noises": [noise], "rate": 1, "seed": 4})
    assert rows[1]["text"] in changed
    assert run([{"text": "ab", "label": "x"}], {"type": "augment", "noises": ["drop_word"], "rate": 1}) == rows[:1]


@pytest.mark.parametrize(("text", "seed"), [("one two three", 0), (" one\n two ", 1), ("one one", 2)])
def test_where_all_words_would_go_one_stays(text: str, seed: int) -> None:
    step = {"type": "augment", "noises": ["drop_word"], "rate": 1, "copies": 20, "seed": seed}
    rows = run([{"text": text, "label": "x"}], step)
    assert len(rows) == 21 and rows == run([{"text": text, "label": "x"}], step)
    assert {row["text"] for row in rows[1:]} == {*text.split()}


def test_distractors_are_those_that_look_most_like_the_answer() -> None:
    documents = [
        f"The {animal} says {sound}." for animal, sound in (("cat", "meow"), ("dog", "woof"), ("hen", "cluck"))
    ]
    documents += ["The cat sleeps all day.", "Nothing of the kind."]
    rows = [
        {"id": n, "q": f"What says the {name}?", "d": documents[n], "answer": "x"}
        for n, name in enumerate(("cat", "dog", "hen"))
    ]
    step = {
        "type": "raft",
        "question": "q",
        "document": "d",
        "distractors": 2,
        "without_oracle": 0,
        "documents": "more",
    }
    more = [Record(1, {"text": text}) for text in documents[3:]]
    steps = Pipeline([step], Means(read_documents=lambda name: more))
    made = [row.record.fields for row in steps.run((Record(n, row) for n, row in enumerate(rows, 1)), "rows")]
    assert [row["oracle"] for row in made] == documents[:3]
    assert made[0]["distractors"][0] == "The cat sleeps all day."
    assert made[0].keys() == {"id", "question", "oracle", "distractors", "answer"}
    assert all(len(row["distractors"]) == 2 and row["oracle"] not in row["distractors"] for row in made)
    with pytest.raises(DataError, match="of documents there are 3, too few for 3 distractors"):
        run(rows, {**step, "documents": None, "distractors": 3})
    steps = Pipeline([{**step, "documents": None, "distractors": 1, "without_oracle": 0.25}])
    made = [row.record.fields for row in steps.run((Record(n, row) for n, row in enumerate(rows * 4, 1)), "rows")]
    assert sum("oracle" not in row for row in made) == steps.tallies[0].counts["without_oracle"] == 3
    made = run(rows * 40, {**step, "documents": None, "distractors": 1, "without_oracle": 0.25})
    without = [row for row in made if "oracle" not in row]
    assert len(without) == 30 and all(len(row["distractors"]) == 2 for row in without)


def test_a_record_without_fields_is_said_to_have_none() -> None:
    with pytest.raises(DataError, match=r"^Line 1 has no fields, and so is of no known shape; there are"):
        list(prepare([Record(1, {})], "a", [{"type": "convert", "to": "messages"}]))


def test_metadata_that_do_not_fit_their_schema_are_not_converted() -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["z"]}
    good = {"document": "d", "metadata": {"year": 1, "z": 1}, "schema": schema}
    step = {"type": "convert", "to": "messages", "flatten": True}
    assert len(list(prepare([Record(1, good), Record(2, {**good, "schema": ""})], "a", [step]))) == 2
    with pytest.raises(DataError, match=r"^Line 2: 'metadata.year' is a text") as refusal:
        list(prepare([Record(1, good), Record(2, {**good, "metadata": '{"year": "x"}'})], "a", [step]))
    assert len(refusal.value.problems) == 2


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


def test_all_extensions_that_are_written_are_named() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"give one of: \.jsonl, \.ndjson, \.json, \.csv, \.tsv, \.tab, \.txt"
    ):
        format_of_name("made.xlsx")


@pytest.mark.parametrize("there", ["made-train.jsonl", "made-validation.jsonl", "made.jsonl.lineage.json"])
def test_nothing_is_written_over_unless_it_is_said(there: str, tmp_path: Path) -> None:
    source, steps = tmp_path / "rows.jsonl", [{"type": "split", "validation": 0.25}]
    source.write_text("".join(json.dumps(row) + "\n" for row in NUMBERED[:8]))
    (tmp_path / there).write_text("mine")
    (tmp_path / "made-test.jsonl").write_text("of another part, which this split does not make")
    with pytest.raises(InvalidRequestError, match=rf"{re.escape(there)} exists already.*--overwrite.*overwrite=True"):
        prepare_file(source, steps, target=tmp_path / "made.jsonl")
    assert (tmp_path / there).read_text() == "mine" and len(list(tmp_path.iterdir())) == 3
    for _ in range(2):
        prepare_file(source, steps, target=tmp_path / "made.jsonl", overwrite=True)
    assert (tmp_path / there).read_text() != "mine"
    with pytest.raises(InvalidRequestError, match=r"made-train\.jsonl and .*made\.jsonl\.lineage\.json exist already"):
        prepare_file(source, steps, target=tmp_path / "made.jsonl")
    source.rename(tmp_path / "made.jsonl.lineage.json")
    with pytest.raises(InvalidRequestError, match=r"made\.jsonl\.lineage\.json is the data set itself"):
        prepare_file(tmp_path / "made.jsonl.lineage.json", steps, target=tmp_path / "made.jsonl", overwrite=True)


def test_every_step_and_key_is_described() -> None:
    assert all(kind.description.endswith(".") and all(kind.keys.values()) for kind in STEPS.values())


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


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text('a,;"\n\r é', max_size=8), min_size=1, max_size=4), st.sampled_from(",\t"))
def test_a_row_of_a_csv_is_written_as_the_csv_module_does(values: list[str], delimiter: str) -> None:
    csv.writer(expected := io.StringIO(newline=""), delimiter=delimiter, quoting=csv.QUOTE_ALL).writerow(values)
    assert writers._row(values, delimiter) == expected.getvalue()


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_everyday_values_of_tables_are_written(format: Any, tmp_path: Path) -> None:
    row = {
        "text": "a", "when": datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "day": date(2024, 1, 2), "at": time(3, 4),
        "price": Decimal("1.50"), "vector": [0.5, 2.0], "in": {"days": [date(2024, 1, 2)]}, "raw": b"\xff", "long": timedelta(1),
    }  # fmt: skip
    steps = [
        {"type": "filter", "condition": "when > '2024-01-01'"},
        {"type": "remove", "fields": ["raw", "long"]},
        {"type": "shuffle"},
    ]
    made = tmp_path / f"made{EXTENSIONS[format]}"
    run_to_file([Record(1, row)], "rows", Pipeline(steps), made, format)
    found = parquet.read_table(made).to_pylist() if format == "parquet" else [json.loads(made.read_text())]
    assert found == [
        {
            "text": "a", "when": "2024-01-02T03:04:05.000006+00:00", "day": "2024-01-02", "at": "03:04:00", "price": "1.50",
            "vector": [0.5, 2.0], "in": {"days": ["2024-01-02"]},
        }
    ]  # fmt: skip
    with pytest.raises(DataError, match="Line 1: 'raw' holds what JSON cannot: bytes"):
        run([row], *steps[::2])


def test_records_without_oracle_go_into_a_table(tmp_path: Path) -> None:
    rows = [{"question": f"q {n}", "document": f"d {n}", "answer": "a"} for n in range(9)]
    found = (Record(number, row) for number, row in enumerate(rows, start=1))
    steps = Pipeline([{"type": "raft", "distractors": 2, "without_oracle": 0.5}])
    run_to_file(found, "rows", steps, tmp_path / "made.parquet", "parquet")
    made = parquet.read_table(tmp_path / "made.parquet").to_pylist()
    assert len(made) == 9 and 0 < sum(row["oracle"] is not None for row in made) < 9


def test_documents_are_parted_by_blank_lines(tmp_path: Path) -> None:
    documents = [{"text": "one\ntwo"}, {"text": "three"}]
    write_records(iter([Record(1, row) for row in documents]), tmp_path / "a.txt", "text")
    assert [
        found.fields for found in read_records(tmp_path / "a.txt", "text") if isinstance(found, Record)
    ] == documents


@pytest.mark.parametrize(
    ("format", "rows", "said"),
    [
        ("csv", [{"a": "1"}, {"b": "2"}], "Line 2 has the fields 'b', the first record 'a'"),
        (
            "csv",
            [{"messages": []}],
            "'messages' is a list of 0 values; a CSV holds nothing but text. Write JSONL.$",
        ),
        ("csv", [{"metadata": {}}], "is an object of 0 fields; .* would not give it back .* a step transform"),
        ("text", [{"text": "a", "label": "b"}], "plain text holds 'text' alone"),
        ("text", [{"text": "a\n\nb"}], "blank line"),
        (
            "jsonl",
            [{"at": {"when": Path("x")}}],
            r"Line 1: 'at\.when' holds what JSON cannot: a value of the type PosixPath",
        ),
        ("jsonl", [{"raw": b"x"}], "'raw' holds what JSON cannot: bytes. Leave the field out by a step remove"),
        ("parquet", [{"long": timedelta(1)}], "'long' is a duration; a table cannot hold that. Leave the field out"),
        ("json", [{"x": [0.5, float("nan")]}], r"'x\.1' holds what JSON cannot: nan"),
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


def tallied(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Tally]]:
    pipeline = Pipeline(list(steps))
    found = (Record(number, row, "Record") for number, row in enumerate(rows, start=1))
    return [row.record.fields for row in pipeline.run(found, "rows")], pipeline.tallies


def written(words: list[str], number: int) -> dict[str, Any]:
    return {"id": number, "text": " ".join(words), "label": str(number % 2)}


def test_the_first_of_what_is_nearly_the_same_stays() -> None:
    random = Random(3)
    rows, firsts = [], []
    for number in range(0, 300, 3):
        words = [f"w{random.randrange(500)}" for _ in range(80)]
        firsts.append(written(words, number))
        changed = [*words[:40], "other", *words[41:]]  # 3 of 78 runs of three words are others
        rows += [firsts[-1], written(changed, number + 1), {**firsts[-1], "id": number}]
    kept, tallies = tallied(rows, {"type": "deduplicate", "fields": ["text"], "near": 0.85})
    assert kept == firsts and tallies[0].counts == {"exact": 100, "near": 100}
    assert (tallies[0].rows_in, tallies[0].rows_out) == (300, 100)
    half = [
        written([*"abcdefghijkl"], 1),
        written([*"abcdefgxxxxx"], 2),
        written(["short"], 3),
        written(["short", "x"], 4),
    ]
    assert tallied(half, {"type": "deduplicate", "fields": ["text"], "near": 0.9})[0] == half
    assert tallied(rows, {"type": "deduplicate"})[1][0].counts == {"exact": 100}


def asked_of(context: str, question: str, answer: str) -> list[dict[str, Any]]:
    """One record in three shapes."""
    prompt = f"{context}\n{question}"
    talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return [{"prompt": prompt, "completion": answer}, {"messages": talk}, {"question": prompt, "answer": answer}]


@pytest.mark.parametrize("shape", range(3))
def test_what_is_nearly_the_same_has_nearly_the_same_answer(shape: int) -> None:
    random = Random(5)
    context, long = (" ".join(f"w{random.randrange(500)}" for _ in range(words)) for words in (300, 100))
    rows = [asked_of(context, "Who won?", "Denver")[shape], asked_of(context, "Where?", "Lima")[shape]]
    rows += [
        asked_of(context, f"Why {number}?", f"{number} {' '.join(long.split()[number * 40 :])}")[shape]
        for number in range(3)
    ]
    rows.append(asked_of(context, "Where then?", "Lima")[shape])
    again = [asked_of(f"{context} w0", "WHERE?", " lima")[shape], asked_of(context, "Why  0?", f"0 {long} so")[shape]]
    kept, tallies = tallied([*rows, *again], {"type": "deduplicate", "near": 0.8})
    assert kept == rows and tallies[0].counts == {"exact": 0, "near": 2}


def test_calls_of_tools_are_answers_too() -> None:
    asked = {"role": "user", "content": " ".join(f"word {number}" for number in range(20))}
    calls = [[{"function": {"name": "sky", "arguments": json.dumps({"city": city})}}] for city in ("Lima", "Quito")]
    rows = [{"messages": [asked, {"role": "assistant", "tool_calls": each}]} for each in calls]
    assert run(rows, {"type": "deduplicate", "near": 0.6}) == rows
    labelled = [{"text": asked["content"], "label": label} for label in (1, 2)]
    assert run(labelled, {"type": "deduplicate", "near": 0.6}) == labelled


def test_more_than_can_be_compared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.preparation.likeness.MOST_COMPARED", 3)
    rows = [{"text": " ".join(f"{number}-{word}" for word in range(20))} for number in range(4)]
    assert len(run(rows[:3] + rows[:3], {"type": "deduplicate", "near": 0.8})) == 3
    with pytest.raises(DataError, match=r"Step 1 \(deduplicate\): more than 3 different records"):
        run(rows, {"type": "deduplicate", "near": 0.8})
    monkeypatch.setattr("afinador.data.preparation.raft.MOST_CHARACTERS", 100)
    asked = [{"question": "q", "document": f"{number} {'x' * 40}", "answer": "a"} for number in range(3)]
    with pytest.raises(DataError, match="the documents have more than 100 characters together"):
        run(asked, {"type": "raft", "distractors": 1})


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


@pytest.mark.parametrize(
    "step",
    [
        {"type": "transform", "operation": "template", "field": "text", "template": "{text}" * 70},
        {"type": "transform", "operation": "replace", "pattern": "(.+)", "replacement": "\\1" * 70},
    ],
)
def test_what_a_step_makes_of_a_record_has_a_limit(step: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"Step 1.* more than 64 Mi characters of line 1"):
        list(Pipeline([step]).run([Record(1, {"text": "x" * 2**20})], "data.jsonl"))


def test_a_pattern_has_a_limit_of_time_for_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS_PER_STEP", 0.0)
    with pytest.raises(DataError, match="took longer than 0 s on all texts up to line 1"):
        list(
            Pipeline([{"type": "filter", "condition": "text matches 'a'"}]).run(
                [Record(1, {"text": "a"})], "data.jsonl"
            )
        )


def test_noise_and_other_letters_reach_pairs_in_all_their_forms() -> None:
    said = [{"role": "user", "content": "How Is The Weather In Lima Today"}]
    better, worse = ([{"role": "assistant", "content": text}] for text in ("Sunny", "Rain"))
    pairs = [
        {"prompt": said, "chosen": better, "rejected": worse},
        {"input": {"messages": said}, "preferred_output": better, "non_preferred_output": worse},
    ]
    lowered = run(pairs, {"type": "transform", "operation": "lowercase"})
    assert json.dumps(lowered) == json.dumps(pairs).replace(
        "How Is The Weather In Lima Today", said[0]["content"].lower()
    ).replace("Sunny", "sunny").replace("Rain", "rain")
    noisy = run(pairs, {"type": "augment", "rate": 1.0})
    assert len(noisy) == 4 and [each for each in noisy if each in pairs] == pairs
    assert all(each.get("chosen", better) == better for each in noisy)
