"""All faults of a record are told at once: each by itself, none for another, and none that only follows from another."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afinador.data.records import Problem, Record
from afinador.data.shapes import SHAPES, Example, Shape, examined, to_example

CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "go", "parameters": {}}}
GOOD: dict[Shape, dict[str, Any]] = {
    "messages": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "r"},
            {"role": "assistant", "content": "a", "weight": 1},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"},
        ],
        "tools": [TOOL],
    },
    "sharegpt": {
        "system": "s",
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": '{"name": "go", "arguments": {}}'},
            {"from": "observation", "value": "r"},
            {"from": "gpt", "value": "a", "weight": 1},
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"},
        ],
        "tools": [TOOL],
    },
    "prompt_completion": {"prompt": "p", "completion": "c"},
    "preference": {"prompt": "p", "chosen": "a", "rejected": "b"},
    "openai_preference": {
        "input": {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "tools": [TOOL]},
        "preferred_output": [{"role": "assistant", "content": "a"}],
        "non_preferred_output": [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
    },
    "alpaca": {"instruction": "i", "input": "g", "output": "o"},
    "raft": {"question": "q", "oracle": "o", "distractors": ["a", "b"], "answer": "x"},
    "document_metadata": {"document": "d", "metadata": {"a": 1}, "type": "t", "schema": {"a": ""}},
    "text_label": {"text": "t", "label": "l"},
    "source_target": {"source": "s", "target": "t"},
    "text": {"text": "t"},
}
GONE = object()


# Where a fault is put, what it is, how it is told, and of which field where that is not the place.
FAULTS: dict[Shape, list[tuple[str, Any, str, str | None]]] = {
    "messages": [
        ("messages.0", "hi", "bad_message", None),
        ("messages.0.role", "bot", "bad_role", None),
        ("messages.0.content", GONE, "bad_content", None),
        ("messages.1.content", " ", "empty_content", None),
        ("messages.1.content", [{"type": "image_url"}, {"type": "text", "text": "t"}], "bad_content_part", "messages[1].content[0]"),
        ("messages.0.name", 7, "bad_name", None),
        ("messages.1.name", ["a"], "bad_name", None),
        ("messages.1.weight", 1, "bad_weight", None),
        ("messages.2.tool_calls.0.function.arguments", "{", "bad_tool_call", None),
        ("messages.2.tool_calls.0.type", "go", "bad_tool_call", None),
        ("messages.2.tool_calls.0.id", GONE, "bad_tool_call", None),
        ("messages.2.tool_calls.0.function.name", "stay", "undeclared_tool", "tools"),
        ("messages.2.function_call", {}, "legacy_function_call", None),
        ("messages.3.tool_call_id", "2", "bad_tool_reply", None),
        ("messages.4.weight", 2, "bad_weight", None),
        ("messages.5.role", None, "bad_role", None),
        ("messages.5", {"from": "human", "value": "q"}, "bad_role", "messages[5].role"),
        ("messages.6", {"role": "user", "content": "q"}, "no_answer_at_end", "messages"),
        ("tools.0.function.parameters", "", "bad_tools", None),
        ("functions", [], "legacy_function_call", None),
    ],
    "sharegpt": [
        ("conversations.0", "hi", "bad_message", None),
        ("conversations.0.from", "bot", "bad_role", None),
        ("conversations.0.value", 5, "bad_content", None),
        ("conversations.1.value", "go", "bad_tool_call", None),
        ("conversations.2.weight", 1, "bad_weight", None),
        ("conversations.3.weight", 2, "bad_weight", None),
        ("conversations.4.value", "", "empty_content", None),
        ("conversations.4", {"role": "user", "content": "q"}, "bad_role", "conversations[4].from"),
        ("conversations.5.from", "human", "no_answer_at_end", "conversations"),
        ("system", {"text": "Be kind"}, "wrong_type", None),
        ("system", 4, "wrong_type", None),
        ("tools", "[", "bad_tools", None),
        ("tools.0.function.name", "stay", "undeclared_tool", "tools"),
    ],
    "prompt_completion": [
        ("prompt", 1, "wrong_type", None), ("prompt", GONE, "missing_field", None),
        ("completion", "", "empty_field", None), ("completion", None, "null_field", None),
    ],
    "preference": [
        ("prompt", 1, "wrong_type", None), ("chosen", " ", "empty_field", None), ("rejected", None, "null_field", None),
        ("rejected", "a ", "same_answers", None), ("tools", 5, "bad_tools", None),
    ],
    "openai_preference": [
        ("input.messages.0.role", "bot", "bad_role", None),
        ("input.messages.1.content", " ", "empty_content", None),
        ("input.messages.0", {"role": "assistant", "content": "a"}, "no_question", "input.messages"),
        ("input.tools.0.function.name", "stay", "undeclared_tool", "input.tools"),
        ("preferred_output", "a", "wrong_type", None),
        ("preferred_output", [], "bad_messages", None),
        ("preferred_output.0.content", GONE, "bad_content", None),
        ("preferred_output.0.role", "user", "bad_role", None),
        ("non_preferred_output.0.tool_calls.0.function.arguments", "{", "bad_tool_call", None),
        ("non_preferred_output.0.role", "user", "bad_role", None),
        ("non_preferred_output.0.weight", 2, "bad_weight", None),
    ],
    "alpaca": [
        ("instruction", "", "empty_field", None), ("input", 3, "wrong_type", None), ("output", GONE, "missing_field", None),
    ],
    "raft": [
        ("question", 1, "wrong_type", None), ("oracle", [], "wrong_type", None), ("answer", "", "empty_field", None),
        ("distractors", GONE, "missing_field", None), ("distractors.0", 3, "wrong_type", None),
        ("distractors.0", " ", "empty_field", None), ("distractors.1", " o", "oracle_is_distractor", None),
    ],
    "document_metadata": [
        ("document", "", "empty_field", None), ("metadata", "{", "wrong_type", None), ("metadata", {}, "empty_field", None),
        ("type", 3, "wrong_type", None), ("schema", "b", "wrong_type", None), ("metadata", GONE, "missing_field", None),
    ],
    "text_label": [
        ("text", 1, "wrong_type", None), ("text", GONE, "missing_field", None),
        ("label", [], "wrong_type", None), ("label", float("nan"), "wrong_type", None),
    ],
    "source_target": [("source", "", "empty_field", None), ("target", 1, "wrong_type", None)],
    "text": [("text", "", "empty_field", None), ("messages", "hi", "two_shapes", None)],
}  # fmt: skip


# The one hides what the other is about: a reply cannot be held against calls whose ids are unknown.
HIDDEN = {
    ("legacy_function_call", "bad_tool_reply"),
    ("bad_message", "bad_tool_reply"),
    ("bad_tool_call", "bad_tool_reply"),
    ("bad_tools", "undeclared_tool"),
    ("bad_tool_call", "undeclared_tool"),
    ("wrong_type", "oracle_is_distractor"),
    ("same_answers", "empty_field"),
}


def with_fault(fields: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(fields)
    *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    holder: Any = made
    for step in way:
        holder = holder[step]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    return made


def field_of(place: str, told_as: str | None, code: str) -> str | None:
    if code == "two_shapes":
        return None
    return told_as or "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in place.split("."))[1:]


def told(fields: dict[str, Any], shape: Shape) -> list[tuple[str, str | None]]:
    found = examined(Record(7, fields), shape)
    assert isinstance(found, list) and all(each.line == 7 and each.message.startswith("Line 7") for each in found)
    first = to_example(Record(7, fields), shape)
    assert first == found[0], "what training is told is the first of them"
    return [(each.code, each.field) for each in found]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_fault_is_told_alone(shape: Shape) -> None:
    assert isinstance(examined(Record(7, GOOD[shape]), shape), Example)
    for place, value, code, told_as in FAULTS[shape]:
        assert told(with_fault(GOOD[shape], place, value), shape) == [(code, field_of(place, told_as, code))], place


@pytest.mark.parametrize("shape", SHAPES)
def test_two_faults_at_two_places_are_both_told(shape: Shape) -> None:
    pairs = 0
    for one, other in combinations(FAULTS[shape], 2):
        places, codes = (one[0], other[0]), (one[2], other[2])
        is_inside = places[0].startswith(places[1]) or places[1].startswith(places[0])
        if is_inside or codes in HIDDEN or codes[::-1] in HIDDEN:
            continue
        fields = with_fault(with_fault(GOOD[shape], *one[:2]), *other[:2])
        expected = {(code, field_of(place, told_as, code)) for place, _, code, told_as in (one, other)}
        found = told(fields, shape)
        assert (set(found), len(found)) == (expected, 2), places
        pairs += 1
    assert pairs > 0


@pytest.mark.parametrize(
    ("shape", "fields", "expected"),
    [
        ("raft", {"question": 1, "oracle": 2, "distractors": 3, "answer": 4},
         {"question": "wrong_type", "answer": "wrong_type", "oracle": "wrong_type", "distractors": "wrong_type"}),
        ("messages", {"tools": 5}, {"messages": "missing_field"}),
        ("prompt_completion", {"text": "t", "label": "l"}, {"prompt": "missing_field"}),
        ("prompt_completion", {"promt": "p", "completoin": "c"}, {"prompt": "missing_field", "completion": "missing_field"}),
        ("messages", {"messages": [{"role": "bot", "content": "a"}]}, {"messages[0].role": "bad_role"}),
        ("messages", {"messages": [{"role": "assistant", "content": "a", "weight": 0}, {"role": "user", "content": "q"}]},
         {"messages": "no_answer_at_end no_question"}),
        ("messages", {"messages": [{"role": "user", "content": None, "tool_calls": []}, {"role": "assistant", "content": "a"}]},
         {"messages[0].tool_calls": "bad_tool_call"}),
        ("sharegpt", {"conversations": {}, "tools": 5}, {"conversations": "bad_messages", "tools": "bad_tools"}),
        ("sharegpt", {"conversations": [], "system": 4}, {"conversations": "bad_messages", "system": "wrong_type"}),
        ("sharegpt", {"system": "s", "conversations": [
            {"from": "human", "value": "q"}, {"from": "tool", "value": "r"}, {"from": "gpt", "value": " "}]},
         {"conversations[1].tool_call_id": "bad_tool_reply", "conversations[2].value": "empty_content"}),
    ],
)  # fmt: skip
def test_what_follows_from_a_fault_is_none_of_its_own(
    shape: Shape, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    found = told(fields, shape)
    assert {field: " ".join(sorted(code for code, each in found if each == field)) for _, field in found} == expected


@pytest.mark.parametrize("system", [None, "", " "])
def test_a_system_text_that_is_none_is_no_fault(system: str | None) -> None:
    found = examined(Record(7, {**GOOD["sharegpt"], "system": system}), "sharegpt")
    assert isinstance(found, Example) and found.messages and found.messages[0]["role"] == "user"


def test_a_conversation_without_turns_is_called_empty() -> None:
    found = to_example(Record(7, {"conversations": []}), "sharegpt")
    assert isinstance(found, Problem) and "'conversations' is empty, but must be a list of turns" in found.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(" ab", max_size=2)
    | st.sampled_from(["user", "assistant", "tool", "human", "gpt", "function_call", "{}", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "weight", "tool_calls", "tool_call_id", "function", "id", "name"]),
        inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(st.sampled_from(list(SHAPES)), st.data())
def test_whatever_stands_in_a_good_record_it_is_usable_or_all_its_faults_differ(
    shape: Shape, data: st.DataObject
) -> None:
    def places(value: Any, way: str = "") -> list[str]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [each for name, item in inner for each in (f"{way}{name}", *places(item, f"{way}{name}."))]

    fields = GOOD[shape]
    for _ in range(data.draw(st.integers(1, 3))):
        fields = with_fault(fields, data.draw(st.sampled_from(places(fields))), data.draw(VALUES))
    found = examined(Record(7, fields), shape)
    assert to_example(Record(7, fields), shape) == (found if isinstance(found, Example) else found[0])
    if isinstance(found, list):
        assert found and max(Counter((each.field, each.message) for each in found).values()) == 1
