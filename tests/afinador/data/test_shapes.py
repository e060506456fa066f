from pathlib import Path

import pytest

from afinador.data.records import Problem, Record
from afinador.data.shapes import Example, shape_of, to_example
from afinador.data.validation import validate_dataset

USER = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
REPLY = {"role": "tool", "tool_call_id": "1", "content": "r"}
TOOL = {"type": "function", "function": {"name": "go", "parameters": {}}}


def conversation(*messages, **fields):
    return to_example(Record(3, {"messages": list(messages), **fields}), "messages")


@pytest.mark.parametrize(
    "fields, shape",
    [
        ("text label", "text_label"),
        ("label text id", "text_label"),
        ("prompt completion", "prompt_completion"),
        ("messages tools", "messages"),
        ("text url", "text"),
        ("prompt label", None),
        ("", None),
    ],
)
def test_shape_is_told_by_the_fields(fields, shape):
    assert shape_of(dict.fromkeys(fields.split())) == shape


@pytest.mark.parametrize("label, text", [("pos", "pos"), (3, "3"), (0.5, "0.5"), (True, "true"), (" x", " x")])
def test_label_becomes_text(label, text):
    example = to_example(Record(5, {"text": "t", "label": label, "id": 1}), "text_label")
    assert example == Example(5, prompt="t", completion=text)


@pytest.mark.parametrize(
    "fields, shape, code, field",
    [
        ({"text": "t"}, "text_label", "missing_field", "label"),
        ({"text": "t", "label": None}, "text_label", "null_field", "label"),
        ({"text": "t", "label": " "}, "text_label", "empty_field", "label"),
        ({"text": "t", "label": []}, "text_label", "wrong_type", "label"),
        ({"text": 5, "label": "a"}, "text_label", "wrong_type", "text"),
        ({"text": "", "label": "a"}, "text_label", "empty_field", "text"),
        ({"prompt": "p", "completion": ""}, "prompt_completion", "empty_field", "completion"),
        ({"prompt": "p", "completion": 3}, "prompt_completion", "wrong_type", "completion"),
        ({"text": "\n"}, "text", "empty_field", "text"),
        ({"prompt": "p", "completion": "c", "messages": []}, "prompt_completion", "two_shapes", None),
    ],
)
def test_unusable_record_is_a_problem_with_line_and_field(fields, shape, code, field):
    problem = to_example(Record(17, fields), shape)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.line, problem.field) == (code, 17, field)
    assert problem.message.startswith("Line 17")


def test_prompt_may_be_empty():
    assert to_example(Record(1, {"prompt": "", "completion": "c"}), "prompt_completion").completion == "c"


def test_record_of_a_json_array_is_called_record():
    assert to_example(Record(4, {"text": "t"}, "Record"), "text_label").message.startswith("Record 4 has no 'label'")


def test_misspelt_field_is_named_with_the_right_one():
    problem = to_example(Record(4, {"text": "t", "Lable": "a"}), "text_label")
    assert "Did you mean 'label' by 'Lable'?" in problem.message


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


def test_tool_arguments_given_as_an_object_become_text():
    call = {**CALL, "function": {"name": "go", "arguments": {"to": "Perú"}}}
    example = conversation(USER, {**CALLING, "tool_calls": [call]})
    assert example.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"to": "Perú"}'


def test_one_label_makes_all_texts_without_one_faults(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n{"text": "c"}\n{"text": "d"}\n')
    report = validate_dataset(path, path.name)
    assert report.shape == "text_label"
    assert [(problem.line, problem.field) for problem in report.errors] == [(2, "label"), (3, "label")]
