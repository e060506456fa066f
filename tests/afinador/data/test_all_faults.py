"""All faults of a record are told at once: each by itself, none for another, and none that only follows from another."""

from __future__ import annotations

import copy
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afinador.cli.dataset_reports import show_report
from afinador.data.dataset_reports import dataset_report
from afinador.data.records import Problem, Record
from afinador.data.shapes import SHAPES, Example, Shape, examined, to_example
from afinador.data.shapes.table import MOST_FAULTS
from afinador.data.validation import Report, validate_dataset

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


def verdict(path: Path, *records: Any) -> Report:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return validate_dataset(path, path.name)


def test_faults_are_counted_and_so_are_the_records_that_have_them(tmp_path: Path) -> None:
    good = [{"prompt": f"p{number}", "completion": f"c{number}"} for number in range(20)]
    report = verdict(tmp_path / "a.jsonl", *good, {"prompt": 1, "completion": ""}, {"prompt": 1, "completion": 2})
    assert report.counts == {"wrong_type": 3, "empty_field": 1}
    assert (report.records, report.refused, report.to_json()["unusable_records"]) == (22, 2, 2)
    assert report.summary().startswith("2 of 22 records cannot be used: Line 21: 'prompt' is 1")
    assert [(each.line, each.field) for each in report.errors] == [
        (21, "prompt"), (21, "completion"), (22, "prompt"), (22, "completion"),
    ]  # fmt: skip


def test_the_terminal_tells_how_many_records_the_faults_are_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for faulty, said in (
        ([{"prompt": 1, "completion": ""}], "2 errors in 1 record, 1"),
        ([{"prompt": 1, "completion": "c"}], "1 error, 1"),
    ):
        report = verdict(tmp_path / "a.jsonl", {"prompt": "p", "completion": "c"}, *faulty)
        show_report(dataset_report("a.jsonl", report.to_json()))
        assert f": {said}" in capsys.readouterr().out


REFUSED: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("completion", lambda text: {"prompt": 1, "completion": text}),
    ("completion", lambda text: {"prompt": "", "completion": [text]}),
    ("compltion", lambda text: {"prompt": "p", "compltion": text}),
]


@pytest.mark.parametrize(("field", "made"), REFUSED)
def test_a_record_that_cannot_be_used_is_searched_too_and_nothing_of_it_is_printed(
    tmp_path: Path, field: str, made: Callable[[str], dict[str, Any]]
) -> None:
    text = "write to ana.perez@empresa.mx, api_key=Zx81kQpL0w9TrYv7 \x07 caf\u00c3\u00a9"
    good = [{"prompt": f"p{number}", "completion": f"c{number}"} for number in range(120)]
    report = verdict(tmp_path / "a.jsonl", *good, made(text))
    warned = {each.code: each for each in report.warnings}
    assert {"personal_email", "secret_api_key", "control_character", "misread_encoding"} <= {
        "secret_api_key" if code.startswith("secret_") else code for code in warned
    }
    assert all(each.line == 121 and str(each.field).startswith(field) for each in warned.values())
    assert "perez" not in str(report.to_json()) and "Zx81" not in str(report.to_json())


def test_a_conversation_that_cannot_be_used_is_searched_to_its_last_turn(tmp_path: Path) -> None:
    good = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]} for n in range(120)
    ]
    turns = [{"role": "bot", "content": "q"}, {"role": "assistant", "content": "ana.perez@empresa.mx"}]
    report = verdict(tmp_path / "a.jsonl", *good, {"messages": turns, "tools": 5})
    assert [(each.code, each.field) for each in report.errors] == [
        ("bad_role", "messages[0].role"),
        ("bad_tools", "tools"),
    ]
    assert ("personal_email", "messages[1].content") in [(each.code, each.field) for each in report.warnings]


def test_metadata_are_held_against_their_schema_also_where_the_record_has_another_fault(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    good = {"document": "d", "metadata": {"year": 1}, "schema": schema}
    odd = {"document": 5, "metadata": '{"year": "old"}', "schema": json.dumps(schema)}
    report = verdict(tmp_path / "a.jsonl", good, odd, {**odd, "metadata": []}, {**good, "type": 1})
    assert [(each.line, each.code, each.field) for each in report.errors] == [
        (2, "wrong_type", "document"), (2, "schema_mismatch", "metadata.year"), (3, "wrong_type", "document"),
        (3, "wrong_type", "metadata"), (4, "wrong_type", "type"),
    ]  # fmt: skip
    assert report.refused == 3


def test_a_record_of_a_hundred_thousand_faults_is_told_soon_and_in_short(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    faulty = {"messages": [{"role": "bot", "content": f"ana{number}@empresa.mx"} for number in range(100_000)]}
    peak, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    report = verdict(tmp_path / "a.jsonl", good, faulty, {"messages": [5] * 100_000})
    assert time.thread_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300 * 1024
    assert {code: report.counts[code] for code in ("bad_role", "bad_message")} == {
        "bad_role": MOST_FAULTS, "bad_message": MOST_FAULTS,
    }  # fmt: skip
    assert report.refused == 2 and len(report.errors) == 20 and len(json.dumps(report.to_json())) < 20_000


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "text", "value": "t"}, "has its text under 'value', which is called 'text'"),
        ({"type": "text", "content": "t"}, "has its text under 'content', which is called 'text'"),
        ({"value": "t"}, "has its text under 'value', which is called 'text'"),
        ({"text": "t"}, "has no 'type'"),
        ({"type": "input_text", "text": "t"}, "has the type 'input_text'"),
        ({"type": "text", "text": 5}, "is an object of 2 fields; only"),
        ({"type": "image_url", "value": "t"}, "is of type 'image_url'; only"),
    ],
)
def test_a_part_of_a_content_that_is_nearly_right_is_told_what_to_rename(part: dict[str, Any], said: str) -> None:
    def made(part: dict[str, Any]) -> Example | list[Problem]:
        messages = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "a"}]
        return examined(Record(1, {"messages": messages}), "messages")

    found = made(part)
    assert isinstance(found, list) and [each.code for each in found] == ["bad_content_part"]
    assert f"messages[0].content[0] {said}" in found[0].message
    if said.startswith("has"):  # what it says can be done, and helps
        text = next(value for key, value in part.items() if key != "type")
        repaired = made({"type": "text", "text": text})
        assert isinstance(repaired, Example) and repaired.messages and repaired.messages[0]["content"] == "t"


@pytest.mark.parametrize(
    ("shape", "fields", "said"),
    [
        ("messages", {"messages": [{"role": "user", "value": "q"}, {"role": "assistant", "content": "a"}]},
         "messages[0].content is missing; it must be text. Rename 'value' to 'content', or"),
        ("sharegpt", {"conversations": [{"from": "human", "content": "q"}, {"from": "gpt", "value": "a"}]},
         "conversations[0].value is missing; it must be text. Rename 'content' to 'value', or"),
    ],
)  # fmt: skip
def test_a_message_whose_text_has_another_key_is_told_what_to_rename(
    shape: Shape, fields: dict[str, Any], said: str
) -> None:
    found = to_example(Record(1, fields), shape)
    assert isinstance(found, Problem) and said in found.message
