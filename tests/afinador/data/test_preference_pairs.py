"""Pairs of a better and a worse answer: one pair in all their forms, told by their own places, and stored only."""

import json
from pathlib import Path

import pytest

from afinador.cli.dataset_reports import show_report
from afinador.data.dataset_reports import dataset_report
from afinador.data.records import Record
from afinador.data.shapes import SHAPES, examined, require_trainable, to_example
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from tests.afinador.data.turns import ANSWER, CALLING, OTHER, OTHER_USER, PAIR, REPLY, TOOL, USER


def test_faults_of_pairs_are_said_of_what_is_there():
    def said(shape, **fields):
        return to_example(Record(1, fields), shape).message

    behind = said("preference", chosen=[USER], rejected=[USER, OTHER])
    assert behind == "Line 1: 'chosen' has no answer behind the prompt. Write the answer, or remove the record."
    question_within = said("preference", chosen=[USER, OTHER_USER, ANSWER], rejected=[USER, OTHER])
    assert "what comes before it is the same in both answers" in question_within
    assert "'chosen' is empty" in said("preference", prompt=[USER], chosen=[], rejected=[OTHER])
    told = [
        said("openai_preference", **{**PAIR, "input": {"messages": [USER], "tools": tools}})
        for tools in (5, "[", [{}], [TOOL | {"function": {"name": "stay", "parameters": 1}}], [float("nan")])
    ]
    assert all("'input.tools" in each and "'tools" not in each for each in told)
    undeclared = {**PAIR, "input": {"messages": [USER], "tools": [TOOL | {"function": {"name": "stay"}}]}}
    assert "not declared in 'input.tools'" in said("openai_preference", **{**undeclared, "preferred_output": [CALLING]})


def test_a_fault_of_what_both_answers_begin_with_is_told_once():
    within = {"chosen": [USER, REPLY, USER, ANSWER], "rejected": [USER, REPLY, USER, {**OTHER, "content": 3}]}
    found = [(fault.code, fault.field) for fault in examined(Record(1, within), "preference")]
    assert found == [("bad_tool_reply", "chosen[1].tool_call_id"), ("bad_content", "rejected[3].content")]
    behind = {"chosen": [USER, ANSWER, REPLY, ANSWER], "rejected": [USER, OTHER]}
    assert [fault.field for fault in examined(Record(1, behind), "preference")] == ["chosen[2].tool_call_id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]},
        {"prompt": USER["content"], "chosen": [ANSWER], "rejected": [OTHER]},
        {"chosen": [USER, ANSWER], "rejected": [USER, OTHER]},
        {"prompt": USER["content"], "chosen": [USER, ANSWER], "rejected": [USER, OTHER]},
    ],
)
def test_pairs_in_messages_are_one_pair_however_the_prompt_is_given(fields):
    example = to_example(Record(1, fields), "preference")
    assert example == to_example(Record(1, PAIR), "openai_preference")
    assert [message["role"] for message in example.messages] == ["user", "assistant"]


def test_the_prompt_of_texts_that_begin_alike_is_what_they_share():
    dialogue = "\n\nHuman: Sun?\n\nAssistant:"
    example = to_example(Record(1, {"chosen": f"{dialogue} Yes, it is.", "rejected": f"{dialogue} Yes."}), "preference")
    assert (example.prompt, example.completion, example.rejected) == (dialogue, " Yes, it is.", " Yes.")
    example = to_example(Record(1, {"chosen": "The sky is blue.", "rejected": "The sky is black."}), "preference")
    assert (example.prompt, example.completion, example.rejected) == ("The sky is", " blue.", " black.")
    misspelt = to_example(Record(1, {"promt": "Sun?", "chosen": "Yes", "rejected": "No"}), "preference")
    assert "Did you mean 'prompt' by 'promt'?" in misspelt.message


def test_pairs_that_differ_in_their_worse_answer_alone_are_no_duplicates(tmp_path: Path) -> None:
    rows = [{**PAIR, "non_preferred_output": [{**OTHER, "content": text}]} for text in ("x", "y", "x")]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = validate_dataset(path, path.name)
    assert report.counts["duplicate"] == 1 and report.errors == []


def test_pairs_are_stored_and_not_trained_on():
    require_trainable("raft", "a.jsonl")
    with pytest.raises(DataError, match=r"pairs\.jsonl holds records of the shape preference.*comes later"):
        require_trainable("preference", "pairs.jsonl")


def test_verdict_on_pairs_says_that_they_are_stored_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / SHAPES["preference"].example_file
    report = validate_dataset(path, path.name)
    assert report.is_valid and "no training method takes it yet" in report.summary()
    assert [note.code for note in report.notes if note.code == "stored_only"] == ["stored_only"]
    show_report(dataset_report(path.name, report.to_json()))
    said = capsys.readouterr().out
    assert "is checked and stored; no training method takes it yet" in said and "can be trained on" not in said
