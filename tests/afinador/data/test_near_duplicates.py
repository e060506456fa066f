"""Records that are the same, nearly the same or answered otherwise are told with the earlier one."""

import pytest

from afinador.data.checks.near_duplicates import NearDuplicates, signatures_of
from afinador.data.comparison import compare_files
from afinador.data.preparation import Pipeline
from afinador.data.records import Record
from tests.afinador.data.judged_records import WORDS, in_shape, pairs


def test_nearly_equal_records_are_told_with_the_earlier_one(verdict):
    long = [f"{word}{at}" for at in range(4) for word in WORDS]
    changed = [*long[:20], "otra", *long[21:]]
    other = long[::-1]
    records = [{"prompt": "r", "completion": " ".join(text)} for text in (long, other, changed)]
    report = verdict([*pairs(20), *records, {**records[2], "prompt": "Another question"}])
    assert report.counts == {"different_answers": 1, "near_duplicate": 1}
    assert "Line 23 is nearly the same as line 21" in report.summary()


@pytest.mark.parametrize("shape", ["messages", "calls", "prompt_completion", "text_label", "alpaca"])
def test_what_is_nearly_the_same_has_nearly_the_same_answer(verdict, tmp_path, shape):
    context = " ".join(f"{word}{at}" for at in range(8) for word in WORDS)
    asked = [
        (f"{context} Who won?", "Denver"),
        (f"{context} Where was it?", "Lima"),
        (f"{context} Why?", "Since it rained"),
    ]
    records = [in_shape(shape, *each) for each in [*asked, (f"{context} Where then?", "Lima"), (f"{context}", "Quito")]]
    report = verdict(records, "train.jsonl")
    near = [problem.line for problem in report.warnings if problem.code == "near_duplicate"]
    assert near == [4] and "Line 4 is nearly the same as line 2" in report.summary()
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    steps = Pipeline([{"type": "deduplicate", "near": 0.8}])
    assert [row.record.line for row in steps.run(iter(rows), "train.jsonl")] == [1, 2, 3, 5]
    validation = verdict(
        [in_shape(shape, f"{context} Whom?", answer) for answer in ("Denver", "Bogot\u00e1")], "valid.jsonl"
    )
    compare_files(report, validation, "train.jsonl", "causal_lm")
    assert [problem.line for problem in validation.warnings if problem.code == "near_overlap"] == [1]


def instructed(shape, instruction, asked, answer):
    if shape == "alpaca":
        return {"instruction": instruction, "input": asked, "output": answer}
    if shape == "system":
        turns = in_shape("messages", asked, answer)["messages"]
        return {"messages": [{"role": "system", "content": instruction}, *turns]}
    if shape == "sharegpt":
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
        return {"conversations": turns, "system": instruction}
    if shape == "document":
        return {"document": asked, "metadata": {"label": answer}}
    if shape == "template":
        return in_shape("prompt_completion", f"{instruction}\n\n### Input:\n{asked}\n\n### Response:\n", answer)
    if shape == "lines":
        return in_shape("messages", f"{instruction}\nText: {asked}\nLabel:", answer)
    return in_shape(shape, f"{instruction}\n\n{asked}", answer)


@pytest.mark.parametrize(
    "shape", ["alpaca", "system", "sharegpt", "prompt_completion", "messages", "template", "lines", "document"]
)
def test_an_instruction_that_all_share_makes_no_questions_alike(verdict, shape):
    instruction = " ".join(f"{word}{at}" for at in range(4) for word in WORDS)
    asked = [f"short input number {at}" for at in range(8)]
    long = [f"{word} {at}" for at in range(8) for word in WORDS]
    asked += [" ".join(long), "Short  INPUT number 3", " ".join([*long[:9], "otra", *long[10:]])]
    records = [
        instructed(shape, instruction, each, "negativo" if at in (4, 5) else "positivo")
        for at, each in enumerate(asked)
    ]
    report = verdict(records)
    near = [problem.line for problem in report.warnings if problem.code == "near_duplicate"]
    assert near == [10, 11] and "Line 11 is nearly the same as line 9" in report.summary() + str(report.warnings)
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    kept = Pipeline([{"type": "deduplicate", "near": 0.8}]).run(iter(rows), "train.jsonl")
    # What a deduplication has too few words to compare is taken as it is written.
    assert [row.record.line for row in kept] == ([*range(1, 11)] if shape == "document" else [*range(1, 10)])


def test_tools_make_no_conversations_alike(verdict):
    function = {"name": "f", "description": " ".join(WORDS * 3), "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    records = [{**in_shape("messages", f"ask {at}", "Done."), "tools": tools} for at in range(12)]
    assert verdict(records).counts == {}
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    assert len(list(Pipeline([{"type": "deduplicate", "near": 0.8}]).run(iter(rows), "a.jsonl"))) == 12


def test_equal_records_are_not_told_twice(verdict):
    record = {"prompt": "p", "completion": " ".join(WORDS)}
    assert verdict(pairs(20, record, record)).counts == {"duplicate": 1}


def test_records_that_differ_in_capitals_and_spaces_alone_are_told(verdict):
    rows = [{"prompt": f"how about {at}", "completion": f"a{at}"} for at in range(20)]
    report = verdict(
        [*rows, {"prompt": "How  about 3", "completion": "a3"}, rows[3], {"prompt": "OK", "completion": "x"}]
    )
    assert report.counts == {"near_duplicate": 1, "duplicate": 1}
    assert "Line 21 is line 4 with other capitals or spaces" in report.summary()
    other = verdict(
        [{"prompt": " how about 5", "completion": "A5"}, {"prompt": "ok", "completion": "x"}], "valid.jsonl"
    )
    compare_files(report, other, "train.jsonl")
    assert other.counts == {"few_records": 1, "near_overlap": 1}


def test_a_message_and_its_answer_are_a_prompt_and_its_completion(verdict):
    chats = [
        {"messages": [{"role": "user", "content": f"q{at}"}, {"role": "assistant", "content": f"a{at}", **further}]}
        for at, further in enumerate([{}, {}, {"weight": 1}])
    ]
    validation = verdict(chats, "valid.jsonl")
    compare_files(verdict(pairs(20), "train.jsonl"), validation, "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 2}


def test_prompts_with_different_answers_are_told(verdict):
    further = [{"prompt": "q3", "completion": at} for at in ("x", "y", "y")] + [{"prompt": "q5", "completion": "x"}]
    report = verdict(pairs(20, *further), "train.jsonl")
    assert report.counts == {"different_answers": 1, "duplicate": 1}
    assert "2 prompts have different answers (lines 4 and 21, lines 6 and 24)" in report.summary()
    validation = verdict([{"prompt": "q1", "completion": "z"}, {"prompt": "q3", "completion": "y"}], "valid.jsonl")
    compare_files(report, validation, "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 1, "answered_otherwise": 1}
    assert "1 prompt has another answer in train.jsonl (line 1 here, line 2 there)" in validation.summary()
    assert verdict([{"prompt": " ", "completion": f"a{at}"} for at in range(12)]).counts == {"empty_prompt": 12}


def test_a_million_like_records_take_a_step_each():
    near = NearDuplicates()
    [signature] = signatures_of([[[], [" ".join(WORDS)]]])
    assert near.add(1, signature) is None
    assert all(near.add(line, signature) == 1 for line in range(2, 3000))
