"""Prompts and completions as lists of messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.records import Record
from afinador.data.shapes import Example, converted, examined, to_example
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.tokenisation import tokenise_all
from afinador.data.validation import validate_dataset
from tests.afinador.data.turns import ANSWER, BLANK, CALLING, OTHER, REPLY, TOOL, USER

SYSTEM = {"role": "system", "content": "s"}
MASKED = {**OTHER, "weight": 0}


@pytest.mark.parametrize(
    ("prompt", "completion", "messages"),
    [
        ([USER], [ANSWER], [USER, ANSWER]),
        ("q", [ANSWER], [USER, ANSWER]),
        ([USER], "a", [USER, ANSWER]),
        ([SYSTEM, USER, OTHER, USER], [ANSWER], [SYSTEM, USER, MASKED, USER, ANSWER]),
        ([USER], [CALLING, REPLY, ANSWER], [USER, {**CALLING, "content": ""}, REPLY, ANSWER]),
    ],
)
def test_messages_of_prompt_and_completion_are_one_conversation(prompt: Any, completion: Any, messages: Any) -> None:
    fields = {"prompt": prompt, "completion": completion}
    assert to_example(Record(1, fields), "prompt_completion") == Example(1, messages=tuple(messages))
    made = converted(Record(1, fields), "prompt_completion", "messages").record
    assert to_example(made, "messages") == Example(1, messages=tuple(messages))


def test_nothing_of_a_prompt_is_learnt(chatml: Any) -> None:
    prompt = [USER, {"role": "assistant", "content": "not this"}, USER]
    example = to_example(Record(1, {"prompt": prompt, "completion": [ANSWER]}), "prompt_completion")
    assert isinstance(example, Example)
    [row] = tokenise_all([example], chatml, 500)
    learnt = chatml.decode([label for label in row.labels if label >= 0])
    assert learnt.startswith("a") and "not this" not in learnt
    assert "not this" in chatml.decode(row.input_ids)


@pytest.mark.parametrize(
    ("prompt", "completion", "faults"),
    [
        ([], [ANSWER], {"prompt": "bad_messages"}),
        ([BLANK], [ANSWER], {"prompt[0].content": "empty_content"}),
        (" ", [ANSWER], {"prompt": "empty_field"}),
        ([USER], " ", {"completion": "empty_field"}),
        (5, [ANSWER], {"prompt": "wrong_type"}),
        ([USER], None, {"completion": "wrong_type"}),
        ([USER], [], {"completion": "bad_messages"}),
        ([USER], [USER, ANSWER], {"completion[0].role": "bad_role"}),
        ([USER], [ANSWER, USER], {"completion": "no_answer_at_end"}),
        ([USER, {**OTHER, "weight": 1}], [ANSWER], {"prompt[1].weight": "bad_weight"}),
        ([{"role": "bot", "content": "q"}], [{**ANSWER, "content": 3}], {"prompt[0].role": "bad_role", "completion[0].content": "bad_content"}),
    ],
)  # fmt: skip
def test_all_faults_are_told_by_their_own_place(prompt: Any, completion: Any, faults: dict[str, str]) -> None:
    found = examined(Record(1, {"prompt": prompt, "completion": completion}), "prompt_completion")
    assert isinstance(found, list) and {each.field: each.code for each in found} == faults


SPECIAL = {"content": "a <eos> b"}
WORSE = [{"role": "assistant", "content": "c"}]


@pytest.mark.parametrize(
    ("shape", "fields", "places"),
    [
        ("prompt_completion", {"prompt": [{**USER, **SPECIAL}], "completion": [ANSWER]}, ["prompt"]),
        ("prompt_completion", {"prompt": [USER, OTHER, USER], "completion": [{**ANSWER, **SPECIAL}]}, ["completion"]),
        ("prompt_completion", {"prompt": "a <eos> b", "completion": [{**ANSWER, **SPECIAL}]}, ["prompt", "completion"]),
        ("preference", {"prompt": [{**USER, **SPECIAL}], "chosen": [ANSWER], "rejected": WORSE}, ["prompt"]),
        ("preference", {"chosen": [{**USER, **SPECIAL}, ANSWER], "rejected": [{**USER, **SPECIAL}, *WORSE]}, ["chosen"]),
    ],
)  # fmt: skip
def test_doubts_of_a_tokenizer_name_the_field_of_the_record(
    shape: Any, fields: dict[str, Any], places: list[str], chatml: Any
) -> None:
    example = to_example(Record(1, fields), shape)
    assert isinstance(example, Example)
    told = check_tokens([example], chatml, Limits("causal_lm", 500), shape)["warnings"]
    assert [each["field"] for each in told if each["code"] == "special_token_in_text"] == places


def test_what_a_cut_takes_of_messages_is_told_of_prompt_and_of_completion(chatml: Any) -> None:
    fields = {"prompt": [{**USER, "content": "q" * 50}], "completion": [ANSWER, REPLY, {**ANSWER, "content": "b" * 20}]}
    example = to_example(Record(1, {**fields, "completion": [CALLING, *fields["completion"][1:]]}), "prompt_completion")
    assert isinstance(example, Example)
    told = check_tokens([example], chatml, Limits("causal_lm", 20), "prompt_completion")["warnings"]
    found = {each["code"]: each["field"] for each in told}
    assert (found["lost_prompt"], found["truncated_answer"], found["lost_answers"]) == (
        "prompt",
        "completion",
        "completion",
    )


def test_such_a_file_is_judged_as_others_are(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows: list[dict[str, Any]] = [{"prompt": [USER], "completion": [{**ANSWER, "content": f"a{n}"}]} for n in range(11)]
    rows.append({"prompt": [USER], "completion": [CALLING, {**ANSWER, "content": "nan"}], "tools": [TOOL]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = validate_dataset(path, path.name)
    assert report.is_valid and report.shape == "prompt_completion", report.summary()
    told = {(each.code, each.field) for each in report.warnings}
    assert told >= {("unreplied_call", "completion[0]"), ("missing_value", "completion[1].content")}
    assert "'tools'" in report.summary(), "no shape of texts or messages without 'messages' has tools"
