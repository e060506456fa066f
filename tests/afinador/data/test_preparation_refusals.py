"""Steps and records that a preparation refuses, and the limits of what it makes."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.data.preparation import Pipeline, patterns, prepare
from afinador.data.records import Problem, Record
from afinador.errors import DataError, InvalidRequestError
from tests.afinador.data.prepared import ROWS, run


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


def test_a_pattern_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.preparation.patterns.SECONDS_PER_TEXT", 0.1)
    evil = {"type": "transform", "operation": "replace", "pattern": "(a|aa)+$"}
    with pytest.raises(DataError, match=r"Step 1 \(transform\).*took longer than 0.1 s on line 1. Write it without"):
        run([{"text": "a" * 80 + "b"}], evil)


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
