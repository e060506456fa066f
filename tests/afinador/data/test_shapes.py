import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.cli.dataset_reports import show_report
from afinador.data.dataset_reports import dataset_report
from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.shapes import (
    SHAPES,
    Example,
    checked_shape,
    commonest_shape,
    require_trainable,
    shape_of,
    shape_of_columns,
    to_example,
)
from afinador.data.validation import load_examples, validate_dataset
from afinador.errors import DataError, InvalidRequestError

USER = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
OTHER = {"role": "assistant", "content": "b"}
PAIR = {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [OTHER]}
OTHER_USER = {"role": "user", "content": "r"}
BLANK = {"role": "user", "content": " "}
CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
REPLY = {"role": "tool", "tool_call_id": "1", "content": "r"}
TOOL = {"type": "function", "function": {"name": "go", "parameters": {}}}


def test_the_readme_counts_the_shapes(root: Path) -> None:
    assert f"; {len(SHAPES)} shapes of a record, " in (root / "README.md").read_text()


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


def test_tools_may_be_written_as_json_text():
    assert conversation(USER, CALLING, REPLY, ANSWER, tools=json.dumps([TOOL])).tools == (TOOL,)
    assert conversation(USER, ANSWER, tools=" ").tools is None
    for broken in ("[", '"go"'):
        problem = conversation(USER, ANSWER, tools=broken)
        assert problem.code == "bad_tools" and '{"type": "function", "function": {"name":' in problem.message


@pytest.mark.parametrize(
    ("shape", "fields", "remedy"),
    [
        ("text_label", {"text": "t", "label": date(2024, 1, 1)}, "Write it as text, or remove"),
        ("messages", {"messages": [{"role": "bot", "content": "a"}]}, "Correct it, or remove"),
        ("messages", {"messages": [{"from": "human", "value": "q"}]}, "'conversations': rename 'messages'"),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "Leave it out, or remove"),
        ("messages", {"messages": [USER, ANSWER], "tools": ["go"]}, 'Write {"type": "function"'),
        ("sharegpt", {"conversations": [{"from": "bot", "value": "q"}]}, "Correct it, or remove"),
    ],
)
def test_a_fault_says_what_to_do(shape, fields, remedy):
    assert remedy in to_example(Record(1, fields), shape).message


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


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_an_example_that_is_recognised_and_usable(shape, root):
    path = root / SHAPES[shape].example_file
    report = validate_dataset(path, path.name)
    assert (report.shape, report.errors) == (shape, [])
    assert "ignored_fields" not in report.counts
    for record in read_records(path, "jsonl"):
        assert isinstance(to_example(record, shape), Example)
        # Declared, a record may have the fields of others too.
        other = {"prompt": "p", "completion": "c"} if shape == "messages" else {"messages": []}
        both = Record(record.line, {**other, **record.fields})
        assert isinstance(to_example(both, shape, is_declared=True), Example)
        assert to_example(both, shape).code == "two_shapes"


@pytest.mark.parametrize(
    "shape, fields, code, field",
    [
        ("sharegpt", {"conversations": {}}, "bad_messages", "conversations"),
        ("sharegpt", {"conversations": ["hi"]}, "bad_message", "conversations[0]"),
        ("sharegpt", {"conversations": [{"from": "bot", "value": "a"}]}, "bad_role", "conversations[0].from"),
        ("sharegpt", {"conversations": [{"from": "human", "value": " "}]}, "empty_content", "conversations[0].value"),
        ("sharegpt", {"conversations": [{"from": "human"}]}, "bad_content", "conversations[0].value"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "q"}]}, "no_answer_at_end", "conversations"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "go"}]}, "bad_tool_call", "conversations[1].value"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "observation", "value": "r"}, {"from": "gpt", "value": "a"}]}, "bad_tool_reply", "conversations[1].tool_call_id"),
        ("sharegpt", {"system": "s", "conversations": [{"from": "human", "value": "q", "weight": 0}, {"from": "gpt", "value": "a"}]}, "bad_weight", "conversations[0].weight"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 2}]}, "bad_weight", "conversations[1].weight"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 0}]}, "nothing_to_train", "conversations"),
        ("alpaca", {"instruction": "", "output": "o"}, "empty_field", "instruction"),
        ("alpaca", {"instruction": "i", "input": 3, "output": "o"}, "wrong_type", "input"),
        ("source_target", {"source": "s", "target": None}, "null_field", "target"),
        ("preference", {"prompt": "p", "chosen": "a", "rejected": "a "}, "same_answers", "rejected"),
        ("preference", {"prompt": None, "chosen": "a", "rejected": "b"}, "null_field", "prompt"),
        ("preference", {"prompt": "p", "chosen": "a", "rejected": 3}, "wrong_type", "rejected"),
        ("preference", {"chosen": "Yes", "rejected": "No"}, "missing_field", "prompt"),
        ("preference", {"chosen": "Sun", "rejected": "Sunny"}, "missing_field", "prompt"),
        ("preference", {"prompt": [USER], "chosen": "a", "rejected": [ANSWER]}, "wrong_type", "chosen"),
        ("preference", {"prompt": [USER], "chosen": [], "rejected": [ANSWER]}, "bad_messages", "chosen"),
        ("preference", {"prompt": [], "chosen": [ANSWER], "rejected": [OTHER]}, "bad_messages", "prompt"),
        ("preference", {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER]}, "same_answers", "rejected"),
        ("preference", {"prompt": [USER], "chosen": [USER, ANSWER], "rejected": [OTHER]}, "bad_role", "chosen[0].role"),
        ("preference", {"prompt": [USER], "chosen": [ANSWER], "rejected": [{**OTHER, "content": " "}]}, "empty_content", "rejected[0].content"),
        ("preference", {"prompt": [{**USER, "role": "bot"}], "chosen": [ANSWER], "rejected": [OTHER]}, "bad_role", "prompt[0].role"),
        ("preference", {"prompt": "other", "chosen": [USER, ANSWER], "rejected": [USER, OTHER]}, "two_prompts", "prompt"),
        ("preference", {"chosen": [USER, ANSWER], "rejected": [{**USER, "content": "other"}, ANSWER]}, "missing_field", "prompt"),
        ("preference", {"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, "same_answers", "rejected"),
        ("preference", {"chosen": [USER, ANSWER], "rejected": [USER]}, "bad_messages", "rejected"),
        ("preference", {"prompt": "p", "chosen": "a", "rejected": "b", "tools": 5}, "bad_tools", "tools"),
        ("preference", {"prompt": "q", "chosen": [], "rejected": [OTHER]}, "bad_messages", "chosen"),
        ("preference", {"prompt": "q", "chosen": [5], "rejected": [OTHER]}, "bad_message", "chosen[0]"),
        ("preference", {"prompt": "q", "chosen": [{**ANSWER, "role": "bot"}], "rejected": [OTHER]}, "bad_role", "chosen[0].role"),
        ("preference", {"prompt": "q", "chosen": [{"content": "a"}], "rejected": [OTHER]}, "bad_role", "chosen[0].role"),
        ("preference", {"prompt": "q", "chosen": [USER, ANSWER], "rejected": [5]}, "bad_role", "chosen[0].role"),
        ("preference", {"chosen": [], "rejected": [USER, OTHER]}, "bad_messages", "chosen"),
        ("preference", {"chosen": [ANSWER], "rejected": [ANSWER]}, "same_answers", "rejected"),
        ("preference", {"chosen": [ANSWER], "rejected": [OTHER]}, "missing_field", "prompt"),
        ("preference", {"chosen": [BLANK, ANSWER], "rejected": [BLANK, OTHER]}, "empty_content", "chosen[0].content"),
        ("preference", {"chosen": [USER, {**ANSWER, "content": " "}], "rejected": [USER, OTHER]}, "empty_content", "chosen[1].content"),
        ("preference", {"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": " "}]}, "empty_content", "rejected[1].content"),
        ("preference", {"chosen": [USER, OTHER_USER, ANSWER], "rejected": [USER, OTHER]}, "bad_role", "chosen[1].role"),
        ("openai_preference", {**PAIR, "input": "q"}, "wrong_type", "input"),
        ("openai_preference", {**PAIR, "input": {}}, "missing_field", "input.messages"),
        ("openai_preference", {**PAIR, "input": {"messages": [], "tools": []}}, "bad_messages", "input.messages"),
        ("openai_preference", {**PAIR, "input": {"messages": [{"role": "user"}]}}, "bad_content", "input.messages[0].content"),
        ("openai_preference", {**PAIR, "input": {"messages": [USER], "tools": {}}}, "bad_tools", "input.tools"),
        ("openai_preference", {**PAIR, "preferred_output": "a"}, "wrong_type", "preferred_output"),
        ("openai_preference", {**PAIR, "non_preferred_output": [ANSWER]}, "same_answers", "non_preferred_output"),
        ("openai_preference", {**PAIR, "non_preferred_output": [USER]}, "bad_role", "non_preferred_output[0].role"),
        ("openai_preference", {**PAIR, "preferred_output": [{**ANSWER, "role": "model"}]}, "bad_role", "preferred_output[0].role"),
        ("raft", {"question": "q", "oracle": "o", "distractors": "d", "answer": "a"}, "wrong_type", "distractors"),
        ("raft", {"question": "q", "oracle": "o", "distractors": ["d", " "], "answer": "a"}, "empty_field", "distractors[1]"),
        ("raft", {"question": "q", "oracle": "o", "distractors": ["d", 3], "answer": "a"}, "wrong_type", "distractors[1]"),
        ("raft", {"question": "q", "oracle": "an  oracle\n", "distractors": ["d", " an oracle"], "answer": "a"}, "oracle_is_distractor", "distractors[1]"),
        ("text_label", {"text": "t", "label": float("inf")}, "wrong_type", "label"),
        ("text_label", {"text": "t", "label": float("nan")}, "wrong_type", "label"),
        ("raft", {"question": "q", "oracle": "o", "distractors": ["o"], "answer": "a"}, "oracle_is_distractor", "distractors[0]"),
        ("raft", {"question": "q", "oracle": "", "distractors": [], "answer": "a"}, "no_documents", "oracle"),
        ("document_metadata", {"document": "d", "metadata": "none"}, "wrong_type", "metadata"),
        ("document_metadata", {"document": "d", "metadata": {}}, "empty_field", "metadata"),
        ("document_metadata", {"document": "d", "metadata": {"a": 1}, "schema": "b"}, "wrong_type", "schema"),
        ("document_metadata", {"document": "d", "metadata": {"a": 1}, "type": 3}, "wrong_type", "type"),
    ],
)  # fmt: skip
def test_faults_of_a_shape_are_named_with_their_field(shape, fields, code, field):
    problem = to_example(Record(9, fields), shape)
    assert (problem.code, problem.line, problem.field) == (code, 9, field)
    assert problem.message.startswith("Line 9")


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


def test_input_of_an_instruction_follows_it():
    fields = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    assert to_example(Record(1, fields), "alpaca").prompt == "Add.\n\n1 and 2"
    assert to_example(Record(1, {**fields, "input": ""}), "alpaca").prompt == "Add."


def test_oracle_stands_among_the_distractors_in_an_order_that_repeats():
    def prompt(number):
        fields = {"question": f"q{number}", "oracle": "the oracle", "distractors": ["a", "b", "c"], "answer": "x"}
        return to_example(Record(number, fields), "raft").prompt

    first = [prompt(number) for number in range(40)]
    assert first == [prompt(number) for number in range(40)]
    places = {text.split("\n\n").index(next(part for part in text.split("\n\n") if "oracle" in part)) for text in first}
    assert places == {0, 1, 2, 3}
    assert all(text.count("Document ") == 4 and text.endswith(f"Question: q{n}") for n, text in enumerate(first))


def test_oracle_may_be_missing_as_in_a_table_but_not_misspelt(tmp_path: Path) -> None:
    fields = {"question": "q", "oracle": "o", "distractors": ["a"], "answer": "x"}
    table = pa.Table.from_pylist([fields, {**fields, "oracle": None}])
    parquet.write_table(table, tmp_path / "raft.parquet")
    first, second = load_examples(tmp_path / "raft.parquet", "parquet")
    assert "o" in str(first.prompt) and "Document 2" not in str(second.prompt) and second.completion == "x"
    misspelt = {("orcale" if name == "oracle" else name): value for name, value in fields.items()}
    found = to_example(Record(3, misspelt), "raft")
    assert isinstance(found, Problem) and "Did you mean 'oracle' by 'orcale'?" in found.message


@pytest.mark.parametrize("columns, shape", [
    (["text"], "text"), (["text", "id"], None), (["text", "label"], "text_label"),
])  # fmt: skip
def test_table_of_texts_alone_is_found_but_not_where_a_column_may_be_the_label(columns, shape):
    assert shape_of_columns(columns) == shape


def test_declared_shape_is_the_one_that_is_read():
    fields = {"text": "t", "label": "x"}
    assert shape_of(fields, declared="text") == "text"
    assert commonest_shape([Record(1, fields)], "jsonl", declared="text") == "text"
    assert checked_shape("raft") == "raft"
    with pytest.raises(
        InvalidRequestError, match=r"'mesages' is unknown; there are: messages, .*Did you mean 'messages'"
    ):
        checked_shape("mesages")


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
