"""Calls of tools that nobody replies to, and types that no schema has."""

import pytest


def called(*ids):
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def replied(call_id):
    return {"role": "tool", "tool_call_id": call_id, "content": "ok"}


ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([ASKED, called("a", "b"), replied("b"), replied("a"), ANSWERED], None),
        ([ASKED, called("a"), replied("a"), ANSWERED, ASKED, called("a", "b")], None),
        ([ASKED, called("a"), ANSWERED], "messages[1] calls a tool ('a')"),
        ([ASKED, called("a", "b"), replied("a"), ANSWERED], "messages[1] calls a tool ('b')"),
        ([ASKED, called("a"), ASKED, replied("a"), ANSWERED], "messages[1] calls a tool ('a')"),
    ],
)
def test_calls_that_nobody_replies_to_are_told(verdict, messages, told):
    report = verdict([{"messages": messages}])
    assert report.is_valid and report.counts.get("unreplied_call", 0) == (told is not None)
    assert told is None or any(told in warning.message for warning in report.warnings)


def test_all_calls_without_a_reply_are_told_and_all_types_that_are_none(verdict):
    parameters = {"type": "objet", "properties": {"a": {"type": "strng"}}}
    tool = {"type": "function", "function": {"name": "g", "parameters": parameters}}
    report = verdict(
        [{"messages": [ASKED, called("a", "b"), ASKED, called("c"), ANSWERED], "tools": [TOOL, tool, TOOL]}]
    )
    told = [each.message.partition(" calls a tool ")[::2] for each in report.warnings if each.code == "unreplied_call"]
    assert [(place, rest[:5]) for place, rest in told] == [
        ("Line 1: messages[1]", "('a')"),
        ("Line 1: messages[1]", "('b')"),
        ("Line 1: messages[3]", "('c')"),
    ]
    types = [each.message for each in report.warnings if each.code == "unknown_schema_type"]
    assert [message.partition("' is ")[0] for message in types] == [
        "Line 1: 'tools[0].function.parameters.type",
        "Line 1: 'tools[1].function.parameters.type",
        "Line 1: 'tools[1].function.parameters.properties.a.type",
        "Line 1: 'tools[2].function.parameters.type",
    ]


def test_turns_without_a_reply_are_told_by_their_own_place(verdict):
    turns = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f"}'},
        {"from": "gpt", "value": "a"},
    ]
    report = verdict([{"conversations": turns, "system": "Help."}])
    assert report.is_valid and "Line 1: conversations[1] calls a tool" in report.summary()


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "objet"}}}


@pytest.mark.parametrize(
    ("record", "call"),
    [
        ({"prompt": [ASKED, called("a")], "chosen": [ANSWERED]}, "prompt[1]"),
        ({"prompt": [ASKED], "chosen": [called("a"), ANSWERED]}, "chosen[0]"),
        ({"prompt": "q", "chosen": [called("a"), ANSWERED]}, "chosen[0]"),
        ({"chosen": [ASKED, called("a"), ANSWERED]}, "chosen[1]"),
        ({"prompt": "q", "chosen": [ASKED, called("a"), ANSWERED]}, "chosen[1]"),
    ],
)
def test_doubts_about_tools_of_pairs_are_told_by_their_own_place(verdict, record, call):
    worse = [{"role": "assistant", "content": "b"}]
    rejected = worse if "prompt" in record and record["chosen"][0] is not ASKED else [ASKED, *worse]
    report = verdict([{**record, "rejected": rejected, "tools": [TOOL]}])
    assert report.is_valid, report.summary()
    assert f"Line 1: {call} calls a tool" in report.summary()
    assert "'tools[0].function.parameters.type' is 'objet'" in report.summary()


@pytest.mark.parametrize(
    ("asked", "answer", "call"),
    [
        ([ASKED, called("a")], [ANSWERED], "input.messages[1]"),
        ([ASKED], [called("a"), ANSWERED], "preferred_output[0]"),
    ],
)
def test_doubts_about_tools_of_openai_pairs_are_told_by_their_own_place(verdict, asked, answer, call):
    worse = [{"role": "assistant", "content": "b"}]
    given = {"messages": asked, "tools": [TOOL]}
    report = verdict([{"input": given, "preferred_output": answer, "non_preferred_output": worse}])
    assert f"Line 1: {call} calls a tool" in report.summary()
    assert "'input.tools[0].function.parameters.type' is 'objet'" in report.summary()


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"type": {"type": ["string", "null"], "enum": ["objet"]}}}, None),
        ({"type": "objet"}, "'tools[0].function.parameters.type' is 'objet', but must be one of: string, "),
        (
            {"properties": {"a": {"items": {"type": ["null", "strng"]}}}},
            "parameters.properties.a.items.type' is 'strng'",
        ),
        ({"anyOf": [{}, {"additionalProperties": {"type": "interger"}}]}, "Did you mean 'integer'?"),
    ],
)
def test_types_of_a_schema_that_there_are_none_of_are_told(verdict, schema, told):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    report = verdict([{"messages": [ASKED, ANSWERED], "tools": [tool]}])
    assert report.is_valid and report.counts.get("unknown_schema_type", 0) == (told is not None)
    assert told is None or told in report.summary()


def test_a_schema_of_metadata_with_a_misspelt_type_is_told(verdict):
    schema = {"type": "objet", "properties": {"year": {"type": "integer"}}}
    report = verdict([{"document": "d", "metadata": {"year": 1}, "schema": schema}])
    assert report.is_valid and "schema.type is 'objet', which no JSON Schema has" in report.summary()
    inner = {"type": "object", "properties": {"year": {"type": "interger"}}}
    report = verdict([{"document": "d", "metadata": {"year": 1}, "schema": inner}])
    assert not report.is_valid and "'schema.properties.year.type' is 'interger'" in report.summary()
    assert "Did you mean 'integer'?" in report.summary()
    wanted = {"type": "", "properties": {"rooms": ""}}
    assert "unknown_schema_type" not in verdict([{"document": "d", "metadata": {"type": "a"}, "schema": wanted}]).counts


def test_what_a_tool_answers_may_be_nothing(verdict):
    assert (
        "missing_value"
        not in verdict([{"messages": [ASKED, called("a"), {**replied("a"), "content": "null"}, ANSWERED]}]).counts
    )
