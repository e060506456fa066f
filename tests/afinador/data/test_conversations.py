"""Conversations of the chat format and of ShareGPT become one form, and those that cannot be learnt from are told."""

import json

import pytest

from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.shapes import SHAPES, to_example
from tests.afinador.data.turns import ANSWER, CALL, CALLING, REPLY, TOOL, USER


def conversation(*messages, **fields):
    return to_example(Record(3, {"messages": list(messages), **fields}), "messages")


def test_conversation_is_brought_into_one_form():
    developer = {"content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief"}], "role": "developer"}
    example = conversation(developer, {**USER, "name": "Ana"}, CALLING, REPLY, {**ANSWER, "weight": 1}, tools=[TOOL])
    assert example.messages == (
        {"role": "system", "content": "Be brief"},
        {**USER, "name": "Ana"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        REPLY,
        {**ANSWER, "weight": 1},
    )
    assert example.tools == (TOOL,)


@pytest.mark.parametrize(
    "messages, code",
    [
        ([], "bad_messages"),
        (["hi"], "bad_message"),
        ([USER, {"role": "bot", "content": "a"}], "bad_role"),
        ([USER, {"role": ["user"], "content": "a"}], "bad_role"),
        ([USER, {"content": "a"}], "bad_role"),
        ([{"role": "user"}, ANSWER], "bad_content"),
        ([USER, {"role": "assistant", "content": None}], "bad_content"),
        ([USER, {"role": "assistant", "content": 5}], "bad_content"),
        ([USER, {"role": "assistant", "content": []}], "bad_content"),
        ([USER, {"role": "assistant", "content": " "}], "empty_content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, ANSWER], "bad_content_part"),
        ([USER], "no_answer_at_end"),
        ([USER, ANSWER, USER], "no_answer_at_end"),
        ([ANSWER], "no_question"),
        ([USER, {**ANSWER, "weight": 0}], "nothing_to_train"),
        ([USER, {**ANSWER, "weight": 2}], "bad_weight"),
        ([USER, {**ANSWER, "weight": True}], "bad_weight"),
        ([{**USER, "weight": 1}, ANSWER], "bad_weight"),
        ([{**USER, "tool_calls": [CALL]}, ANSWER], "bad_tool_call"),
        ([USER, {**CALLING, "tool_calls": [{**CALL, "id": None}]}], "bad_tool_call"),
        ([USER, {**CALLING, "tool_calls": [CALL, CALL]}], "bad_tool_call"),
        ([USER, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "go", "arguments": "{"}}]}], "bad_tool_call"),
        ([USER, REPLY, ANSWER], "bad_tool_reply"),
        ([USER, {**ANSWER, "function_call": {}}], "legacy_function_call"),
    ],
)
def test_conversation_that_cannot_be_learnt_from_is_a_problem(messages, code):
    problem = conversation(*messages)
    assert isinstance(problem, Problem) and (problem.code, problem.line) == (code, 3)


@pytest.mark.parametrize(
    "tools, code",
    [({}, "bad_tools"), (["go"], "bad_tools"), ([{"function": {"name": "go", "parameters": ""}}], "bad_tools"),
     ([{"function": {"name": "stay"}}], "undeclared_tool")],
)  # fmt: skip
def test_tools_that_do_not_fit_are_a_problem(tools, code):
    assert conversation(USER, CALLING, REPLY, ANSWER, tools=tools).code == code


def test_tools_may_be_written_as_json_text():
    assert conversation(USER, CALLING, REPLY, ANSWER, tools=json.dumps([TOOL])).tools == (TOOL,)
    assert conversation(USER, ANSWER, tools=" ").tools is None
    for broken in ("[", '"go"'):
        problem = conversation(USER, ANSWER, tools=broken)
        assert problem.code == "bad_tools" and '{"type": "function", "function": {"name":' in problem.message


def test_tool_arguments_given_as_an_object_become_text():
    call = {**CALL, "function": {"name": "go", "arguments": {"to": "Perú"}}}
    example = conversation(USER, {**CALLING, "tool_calls": [call]})
    assert example.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"to": "Perú"}'


def test_conversation_of_sharegpt_is_the_one_of_the_chat_format(root):
    path = root / SHAPES["sharegpt"].example_file
    called = [to_example(record, "sharegpt") for record in read_records(path, "jsonl")][2]
    assert [message["role"] for message in called.messages] == ["user", "assistant", "tool", "assistant"]
    assert called.messages[1]["tool_calls"][0]["function"] == {"name": "stock_of", "arguments": '{"article": "honey"}'}
    assert called.tools[0]["function"]["name"] == "stock_of"


def test_answers_of_sharegpt_have_weights_as_in_the_chat_format():
    def said(turns):
        return to_example(Record(3, {"system": "s", "conversations": turns}), "sharegpt").messages

    asked, wrong = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 0}
    call = {"from": "function_call", "value": '{"name": "go"}', "weight": 0}
    found = said([asked, wrong, asked, call, {"from": "observation", "value": "r"}, {**wrong, "weight": 1}])
    assert [message.get("weight") for message in found] == [None, None, 0, None, 0, None, 1]
    expected = conversation({"role": "system", "content": "s"}, USER, {**ANSWER, "weight": 0}, USER, ANSWER)
    assert said([asked, wrong, asked, {"from": "gpt", "value": "a"}]) == expected.messages
