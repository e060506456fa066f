"""Records in other shapes and back: all that both can hold is the same again, and what one cannot hold is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.records import Record
from afinador.data.shapes import SHAPES, Example, Shape, converted, convertible_to, to_example
from afinador.errors import AfinadorError, DataError, InvalidRequestError

CONVERSATIONS = ("messages", "sharegpt")
PAIRS = [(shape, target) for shape in SHAPES for target in SHAPES if shape != target]
# Of the examples of a shape: how many have a place in another; all others are refused by the name of what has none.
HELD = {
    ("messages", "sharegpt"): 2,  # a name has none
    ("sharegpt", "messages"): 3,
    ("alpaca", "messages"): 2,  # an input could not be told from the instruction any more
    ("alpaca", "sharegpt"): 2,
    ("alpaca", "prompt_completion"): 2,
    ("alpaca", "text_label"): 2,
    ("alpaca", "source_target"): 2,
    **{(shape, target): 0 for shape in CONVERSATIONS for target in SHAPES if target not in CONVERSATIONS},
    ("messages", "prompt_completion"): 2,  # as lists of messages, where all that is learnt is at the end
    ("sharegpt", "prompt_completion"): 1,
    ("prompt_completion", "alpaca"): 4,  # messages have no place in a text
    ("prompt_completion", "text_label"): 4,
    ("prompt_completion", "source_target"): 4,
}


# Examples that come back as the same pair, written in another way: with the prompt that both answers began with.
OTHERWISE = {("preference", 5)}


def examples_of(shape: Shape, root: Path) -> list[Record]:
    lines = (root / SHAPES[shape].example_file).read_text().splitlines()
    return [Record(number, {"id": number, **json.loads(line)}) for number, line in enumerate(lines, start=1)]


@pytest.mark.parametrize(("shape", "target"), PAIRS)
def test_what_goes_comes_back_and_what_cannot_is_refused_by_name(shape: Shape, target: Shape, root: Path) -> None:
    records = examples_of(shape, root)
    if target not in convertible_to(shape):
        with pytest.raises(InvalidRequestError, match=f"{shape} cannot become {target}"):
            converted(records[0], shape, target)
        return
    held = 0
    for record in records:
        try:
            made = converted(record, shape, target)
        except DataError as refusal:
            assert refusal.message.startswith(f"Line {record.line}: {target} has no place for ")
            continue
        held += 1
        there = made.record
        assert there.fields["id"] == record.line and set(SHAPES[target]) <= there.fields.keys()
        assert isinstance(to_example(there, target), Example)
        back = converted(there, target, shape).record
        assert bool(made.otherwise) == ((shape, record.line) in OTHERWISE)
        assert (back.fields == record.fields) == (not made.otherwise)
        assert converted(back, shape, target).record.fields == there.fields
    assert held == HELD.get((shape, target), len(records))


@pytest.mark.parametrize(
    ("shape", "target", "fields", "said"),
    [
        ("messages", "alpaca", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}]}, "no place for 'messages[1].weight' (1)"),
        ("messages", "prompt_completion", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}] * 2}, "no place for messages[2], which stands between answers that are learnt: it holds one answer"),
        ("messages", "prompt_completion", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}, {"role": "assistant", "content": "a"}]}, "no place for messages[2]"),
        ("messages", "sharegpt", {"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "no place for the role 'developer' of messages[0]"),
        ("messages", "alpaca", {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "no place for a conversation of the roles 'system', 'user', 'assistant': it holds one message of the user and one answer. Change or remove the record, or take another shape."),
        ("alpaca", "text_label", {"instruction": "i", "input": "x", "output": "o"}, "no place for an 'input' that is not empty beside its 'instruction'"),
        ("alpaca", "text_label", {"instruction": "i", "input": "x", "output": "o"}, "flatten: true"),
        ("sharegpt", "messages", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "train": False}]}, "no place for 'conversations[1].train' (false)"),
        ("sharegpt", "alpaca", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 1}]}, "no place for 'conversations[1].weight' (1)"),
        ("prompt_completion", "messages", {"prompt": "", "completion": "c"}, "messages[0].content is empty"),
        ("prompt_completion", "text_label", {"prompt": "p", "completion": "c", "label": 3}, "field 'label', which means something else"),
        ("prompt_completion", "text_label", {"prompt": "p"}, "has no 'completion'"),
        ("raft", "messages", {}, "with flatten: true it can"),
        ("preference", "prompt_completion", {}, "it can become: openai_preference"),
        ("preference", "openai_preference", {"chosen": "q\n\nAssistant: a", "rejected": "q\n\nAssistant: b"}, "no place for texts without a prompt of their own"),
        ("openai_preference", "preference", {"input": {"messages": [{"role": "user", "content": "q"}], "parallel_tool_calls": True}, "preferred_output": [{"role": "assistant", "content": "a"}], "non_preferred_output": [{"role": "assistant", "content": "b"}]}, "no place for 'input.parallel_tool_calls' (true)"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_named(shape: Shape, target: Shape, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(AfinadorError) as refusal:
        converted(Record(7, fields), shape, target)
    assert said in refusal.value.message and "\n" not in refusal.value.message
    if "With flatten: true " in refusal.value.message:
        converted(Record(7, fields), shape, target, flatten=True)


def test_tools_of_pairs_in_texts_go_and_come_back() -> None:
    tools = [{"type": "function", "function": {"name": "go", "parameters": {}}}]
    fields = {"prompt": "p", "chosen": "a", "rejected": "b", "tools": tools}
    for given in (tools, json.dumps(tools)):
        made = converted(Record(1, {**fields, "tools": given}), "preference", "openai_preference")
        assert made.record.fields["input"]["tools"] == tools
        back = converted(made.record, "openai_preference", "preference").record
        assert back.fields["tools"] == tools and back.fields["prompt"] == [{"role": "user", "content": "p"}]
        assert converted(back, "preference", "openai_preference").record.fields == made.record.fields


def test_weights_of_turns_go_and_come_back() -> None:
    turns = [
        ("human", "q", None),
        ("gpt", "a", 0),
        ("human", "q", None),
        ("function_call", '{"name": "go", "arguments": {}}', 1),
    ]
    fields = {
        "conversations": [
            {"from": who, "value": value, **({} if weight is None else {"weight": weight})}
            for who, value, weight in turns
        ]
    }
    made = converted(Record(1, fields), "sharegpt", "messages")
    assert [message.get("weight") for message in made.record.fields["messages"]] == [None, 0, None, 1]
    assert made.otherwise == () and converted(made.record, "messages", "sharegpt").record.fields == fields


def test_labels_that_are_no_texts_become_the_text_that_is_learnt() -> None:
    made = converted(Record(1, {"text": "t", "label": True}), "text_label", "prompt_completion")
    assert made.record.fields == {"prompt": "t", "completion": "true"} and made.otherwise == ("label",)


@pytest.mark.parametrize(
    ("shape", "target", "fields", "otherwise"),
    [
        ("text_label", "messages", {"text": "t", "label": 1}, ("label",)),
        ("text_label", "messages", {"text": "t", "label": "1"}, ()),
        ("sharegpt", "messages", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "tools": '[{"name": "f", "parameters": {}}]'}, ("tools",)),
        ("sharegpt", "messages", {"conversations": [{"from": "user", "value": "q"}, {"from": "gpt", "value": "a"}]}, ("conversations",)),
        ("messages", "sharegpt", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": '[{"type": "function", "function": {"name": "f"}}]'}, ("tools",)),
        ("alpaca", "messages", {"instruction": "i", "output": "o"}, ("input",)),
        ("messages", "sharegpt", {"messages": [{"role": "user", "content": "q", "name": None}, {"role": "assistant", "content": "a"}]}, ("messages",)),
    ],
)  # fmt: skip
def test_what_would_come_back_written_otherwise_is_told(
    shape: Shape, target: Shape, fields: dict[str, Any], otherwise: tuple[str, ...]
) -> None:
    made = converted(Record(1, fields), shape, target)
    assert made.otherwise == otherwise
    assert (converted(made.record, target, shape).record.fields == fields) is (not otherwise)


def test_what_is_lost_where_a_record_is_flattened_is_told() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    record = Record(1, {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]})
    with pytest.raises(DataError) as refused:
        converted(record, "messages", "sharegpt")
    assert "'messages[1].tool_calls[0].id'" in refused.value.message
    assert "With flatten: true what it has no place for is lost, for good: ids of calls" in refused.value.message
    assert "instruction" not in refused.value.message
    made = converted(record, "messages", "sharegpt", flatten=True).record
    assert made.fields["conversations"][1] == {"from": "function_call", "value": '{"name": "f", "arguments": {}}'}
    with pytest.raises(DataError, match="With flatten: true instruction and input are joined"):
        converted(Record(1, {"instruction": "i", "input": "x", "output": "o"}), "alpaca", "messages")


def test_flattened_records_are_what_training_takes(root: Path) -> None:
    for shape in ("alpaca", "raft", "document_metadata"):
        for record in examples_of(shape, root):
            made = converted(record, shape, "prompt_completion", flatten=True).record
            example = to_example(record, shape)
            assert (made.fields["prompt"], made.fields["completion"]) == (example.prompt, example.completion)
