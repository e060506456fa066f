"""Chat templates that leave something out of a record, or write it otherwise: each says so, and those that do not are left alone."""

from __future__ import annotations

import json

import pytest

from afinador.data.dataset_reports import merged
from afinador.data.shapes import Example
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.preview import preview
from afinador.errors import ModelError
from tests.afinador.data.conftest import CHATML

LONG = Limits("causal_lm", 10_000)
OPEN, CLOSE = "<|im_start|>{{ m.role }}\n", "<|im_end|>\n"
END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def template(content: str = "{{ m.content }}", messages: str = "messages") -> str:
    return "{% for m in " + messages + " %}" + OPEN + content + CLOSE + "{% endfor %}" + END


QWEN = (
    "{% if tools %}<|im_start|>system\n{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}\n# Tools\n"
    "{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}<|im_end|>\n"
    "{% elif messages[0].role == 'system' %}<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role in ('user', 'assistant') and not m.tool_calls %}"
    + OPEN
    + "{{ m.content | trim }}"
    "<|im_end|>\n{% elif m.role == 'assistant' %}" + OPEN + "{% if m.content %}{{ m.content }}\n{% endif %}"
    '{% for call in m.tool_calls %}<tool_call>\n{"name": "{{ call.function.name }}", "arguments": '
    "{{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n"
    "{% elif m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n"
    "{% endif %}{% endfor %}" + END
)
"""As Qwen's and Hermes' do: tools in the system message, replies of tools as the user's."""
SYSTEM_LATE = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {% if loop.index0 >= messages | length - 2 %}"
    "{{ messages[0].content }}\n\n{% endif %}{{ m.content }}[/INST]{% elif m.role == 'assistant' %} {{ m.content }}<eos>"
    "{% elif m.role == 'tool' %}[RESULT]{{ m.content | tojson }}[/RESULT]{% endif %}{% endfor %}"
)
"""As Mistral's: the system message stands before the last question."""

SYSTEM = {"role": "system", "content": " Be brief.\n"}
TURNS = (
    {"role": "user", "content": "Where is my parcel? "},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "When does it come?"},
    {"role": "assistant", "content": "<think>Monday</think>On Tuesday."},
)
TOOLS = ({"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}},)
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "1",
            "type": "function",
            "function": {"name": "track", "arguments": json.dumps({"number": 17, "place": 'the "Ñ"', "now": True})},
        }
    ],
}
REPLY = {"role": "tool", "tool_call_id": "1", "content": '{"at": "depot"}'}
CALLED = (TURNS[0], CALL, REPLY, TURNS[1])


def said(tokenizer, chat_template, *records, shape=None):
    tokenizer.chat_template = chat_template
    checked = check_tokens(records, tokenizer, LONG, shape)
    assert not checked["errors"]
    found = [each for each in checked["warnings"] if each["code"].startswith("template_leaves_out")]
    assert {code for code in checked["counts"] if code.startswith("template")} == {each["code"] for each in found}
    return {each["code"].removeprefix("template_leaves_out_"): each for each in found}


@pytest.mark.parametrize(
    "chat_template, kind, field, how",
    [
        (template(messages="messages[-2:]"), "user", "messages[1].content", "left out"),
        (template("{{ m.content | upper }}"), "user", "messages[1].content", "other capitals"),
        (template("{{ m.content.split('</think>')[-1] }}"), "assistant", "messages[4].content", "left out or written in"),
        (template("{{ m.content if m.role != 'system' else '' }}"), "system", "messages[0].content", "left out"),
        (template("{{ m.content[:5] }}"), "system", "messages[0].content", "left out or written in"),
        (template("{{ m.content.replace(' ', '  ') }}"), "user", "messages[1].content", "other white space"),
    ],
)  # fmt: skip
def test_a_text_that_the_template_does_not_write_as_it_is_is_told_by_its_role(
    characters, chat_template, kind, field, how
):
    found = said(characters, chat_template, Example(7, messages=(SYSTEM, *TURNS)))
    assert (found[kind]["line"], found[kind]["field"]) == (7, field)
    assert found[kind]["message"].startswith("Record at line 7: the ") and how in found[kind]["message"]
    assert "Correct the chat template" in found[kind]["message"]


@pytest.mark.parametrize("chat_template", [template(), template("{{ m.content | trim }}"), CHATML, QWEN, SYSTEM_LATE])
def test_templates_that_write_everything_are_left_alone(characters, chat_template):
    examples = [
        Example(1, messages=(SYSTEM, *TURNS)),
        Example(2, messages=(SYSTEM, *TURNS[:2])),
        Example(3, messages=(SYSTEM, TURNS[0], TURNS[1], TURNS[0], TURNS[1])),
        Example(4, messages=(SYSTEM, TURNS[0], TURNS[1], TURNS[0], {"role": "assistant", "content": "<|im_end|> ñ"})),
    ]
    assert said(characters, chat_template, *examples) == {}


def test_turns_that_are_the_same_are_counted(characters):
    again = (*TURNS[:2], *TURNS[:2])
    assert set(said(characters, template(messages="messages[-2:]"), Example(1, messages=again))) == {
        "user",
        "assistant",
    }


@pytest.mark.parametrize("chat_template", [QWEN, CHATML])
def test_calls_of_tools_that_are_written_are_found(characters, chat_template):
    declared = TOOLS if chat_template == QWEN else None
    assert said(characters, chat_template, Example(1, messages=CALLED, tools=declared)) == {}


def test_calls_replies_and_declarations_that_are_left_out_are_told(characters):
    found = said(characters, template(), Example(1, messages=CALLED, tools=TOOLS))
    assert set(found) == {"call", "declaration"}
    assert found["call"]["field"] == "messages[1].tool_calls[0].function"
    assert "the call of the tool 'track' is not written by the chat template. Take a base" in found["call"]["message"]
    assert found["declaration"]["field"] == "tools"
    without_arguments = QWEN.replace("call.function.arguments", "{}")
    found = said(characters, without_arguments, Example(1, messages=CALLED, tools=TOOLS))
    assert set(found) == {"call"} and "arguments of the call of the tool 'track'" in found["call"]["message"]
    bare = {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "function": {"name": "track", "arguments": "{}"}}]}
    declared_alone = QWEN.replace("{% for call in m.tool_calls %}", "{% for call in [] %}")
    found = said(characters, declared_alone, Example(1, messages=(TURNS[0], bare, REPLY, TURNS[1]), tools=TOOLS))
    assert set(found) == {"call"}, "its name stands in the declaration alone"
    without_replies = QWEN.replace("{{ m.content }}\n</tool_response>", "</tool_response>")
    assert set(said(characters, without_replies, Example(1, messages=CALLED, tools=TOOLS))) == {"tool"}


def test_one_warning_a_kind_counts_its_records_and_names_the_fields_of_their_shape(characters):
    records = [Example(line, prompt="Hello you", completion="good bye") for line in range(1, 16)]
    characters.chat_template = template("{{ m.content | upper }}")
    checked = check_tokens(records, characters, LONG, "alpaca")
    assert checked["counts"] == {"template_leaves_out_user": 15, "template_leaves_out_assistant": 15}
    of_user = [each for each in checked["warnings"] if each["code"] == "template_leaves_out_user"]
    assert [each["line"] for each in of_user] == [*range(1, 11)] and of_user[0]["field"] == "instruction"
    shown = preview(records, characters, LONG, 2, "alpaca")["records"]
    assert ["the user's message" in record["doubts"][0] for record in shown] == [True, True]


def test_what_comes_after_the_last_learnt_answer_is_no_loss(characters):
    messages = (*TURNS, {"role": "user", "content": "Thanks"}, {"role": "assistant", "content": "Bye", "weight": 0})
    assert said(characters, template(), Example(1, messages=messages)) == {}


BROKEN = ["{% for m in messages %}{{ m.content }", "{{ nothing.at.all }}", "{% for m in messages %}{{ m.content + 1 }}{% endfor %}"]  # fmt: skip


@pytest.mark.parametrize("chat_template", BROKEN)
def test_a_template_that_cannot_be_used_is_told_once_and_the_preview_fails(characters, chat_template):
    characters.chat_template = chat_template
    examples = [Example(line, prompt="a", completion="b") for line in range(1, 6)]
    checked = check_tokens(examples, characters, LONG)
    (error,) = checked["errors"]
    assert (error["code"], error["line"], checked["counts"]) == ("unusable_tokenizer", None, {"unusable_tokenizer": 1})
    assert "The chat template of the base model cannot be used: " in error["message"]
    assert "in chat_template.jinja or tokenizer_config.json" in error["message"]
    read = {"errors": [], "warnings": [], "notes": [], "counts": {}, "summary": "5 records.", "records": 5}
    checked["tokens"]["every"] = 1
    assert merged(read, checked, "tiny")["summary"] == error["message"]
    with pytest.raises(ModelError, match="cannot be used"):
        preview(examples, characters, LONG, 2)


def test_a_template_that_refuses_one_conversation_is_not_broken(characters):
    characters.chat_template = "{{ messages[2].content.nothing.at.all if messages | length > 2 }}" + CHATML
    examples = [Example(1, messages=(*TURNS[:2], *TURNS[:2])), Example(2, prompt="a", completion="b")]
    checked = check_tokens(examples, characters, LONG)
    assert checked["counts"] == {"not_tokenised": 1} and checked["tokens"]["records"] == 1
    assert checked["errors"][0]["field"] == "messages"
