"""Each shape is told by its fields, becomes examples, and names its faults by line and field."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.shapes import SHAPES, Example, checked_shape, commonest_shape, shape_of, shape_of_columns, to_example
from afinador.data.validation import load_examples, validate_dataset
from afinador.errors import InvalidRequestError
from tests.afinador.data.turns import ANSWER, BLANK, OTHER, OTHER_USER, PAIR, USER


def test_the_readme_counts_the_shapes(root: Path) -> None:
    assert f"; {len(SHAPES)} shapes of a record, " in (root / "README.md").read_text()


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
