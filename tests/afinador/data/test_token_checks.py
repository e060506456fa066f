"""What is said of lengths and tokens, against the same counted in another way."""

from __future__ import annotations

import json
import shutil
import statistics
from collections import Counter
from itertools import pairwise

import pytest

from afinador.data.dataset_reports import every_of, merged, reading_of
from afinador.data.lengths import BINS, Lengths, histogram_of, median_of
from afinador.data.shapes import Example
from afinador.data.tokens import chat, encoding
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.child import Tokenizers
from afinador.data.validation import validate_dataset
from tests.afinador.data.conftest import CHATML

LONG = Limits("causal_lm", 10_000)
CHAT = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"})


def codes(checked):
    return checked["counts"]


def test_a_conversation_of_thousands_of_messages_is_a_fault_and_is_not_rendered(chatml, monkeypatch):
    monkeypatch.setattr(chat, "MOST_MESSAGES", 4)
    [error] = check_tokens([Example(7, messages=(*CHAT, *CHAT, *CHAT)[:6])], chatml, LONG)["errors"]
    assert (error["code"], error["line"]) == ("not_tokenised", 7)
    assert "has 6 messages; at most 4 are written with a chat template. Split" in error["message"]


def test_a_record_that_no_tokenizer_could_take_is_a_fault_of_its_own(chatml, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_CHARACTERS", 3)
    examples = [Example(4, messages=CHAT), Example(5, prompt="a", completion="bc"), Example(6, text="abcd")]
    first, second = check_tokens(examples, chatml, LONG)["errors"]
    assert "Record at line 4 has 4 characters; at most 3 of one record are tokenised. Part it" in first["message"]
    assert second["line"] == 6
    to_classify = Limits("sequence_classification", 10)
    assert check_tokens([Example(7, prompt="abcd", completion="a")], chatml, to_classify)["counts"] == {
        "not_tokenised": 1
    }


def test_lengths_are_those_of_a_sorted_list():
    lengths = [3, 3, 4, 9, 12, 700, 700, 1, 55, 56, 57]
    counted = Lengths()
    for length in lengths:
        counted.add(length)
    told = counted.to_json()
    in_order = sorted(lengths)
    assert (told["min"], told["max"], told["mean"]) == (1, 700, round(statistics.fmean(lengths), 2))
    assert [told[f"p{percent}"] for percent in (90, 95, 99)] == [
        in_order[-(-percent * len(lengths) // 100) - 1] for percent in (90, 95, 99)
    ]
    for some in (lengths, lengths[:-1], lengths[:2], [4, 9], [4, 6], [5]):
        told_median = median_of(Counter(some))
        assert told_median == statistics.median(some)
        assert isinstance(told_median, int) == (told_median % 1 == 0)
    assert told["p50"] == statistics.median(lengths)
    bins = told["histogram"]
    assert len(bins) <= BINS and bins[0]["from"] == 1 and bins[-1]["to"] == 700
    assert all(after["from"] == before["to"] + 1 for before, after in pairwise(bins))
    for each in bins:
        assert each["records"] == sum(each["from"] <= length <= each["to"] for length in lengths)
    assert Lengths().to_json() is None


def test_a_few_outliers_share_the_last_bin_of_a_histogram():
    counted = {length: 3 for length in range(60, 141)}
    [*others, last] = histogram_of(counted | {5000: 1, 40_000: 1}, BINS)
    assert last == {"from": 141, "to": 40_000, "records": 2} and len(others) < BINS
    assert {each["to"] - each["from"] + 1 for each in others[:-1]} == {4} and others[-1]["to"] == 140
    assert sum(each["records"] for each in others) == 3 * 81
    assert all(after["from"] == before["to"] + 1 for before, after in pairwise([*others, last]))
    two_heaps = histogram_of({10: 70, 10_000: 30}, BINS)
    assert len(two_heaps) <= BINS and (two_heaps[0]["records"], two_heaps[-1]["records"]) == (70, 30)
    assert histogram_of({7: 5}, BINS) == [{"from": 7, "to": 7, "records": 5}]


def test_cut_records_are_told_by_side(characters):
    examples = [
        Example(1, prompt="p" * 10, completion="answer"),
        Example(2, prompt="p" * 100, completion="answer"),
        Example(3, prompt="p" * 10, completion="a" * 100),
    ]
    checked = check_tokens(examples, characters, Limits("causal_lm", 50))
    whole = [len(f"Human: {each.prompt}\nAssistant: {each.completion}") + 1 for each in examples]
    truncated = checked["tokens"]["truncated"]
    assert checked["tokens"]["tokens"] == sum(whole)
    assert checked["tokens"]["kept_tokens"] == whole[0] + 50 + 50
    assert (truncated["records"], truncated["prompts"], truncated["ends"]) == (2, 2, 1)
    assert truncated["prompt_tokens"] + truncated["end_tokens"] == sum(whole) - whole[0] - 100
    assert codes(checked) == {"truncated_prompt": 1, "truncated_answer": 1, "lost_prompt": 1}
    assert [(fault["line"], fault["field"]) for fault in checked["warnings"]] == [
        (2, "prompt"),
        (3, "completion"),
        (3, "prompt"),
    ]


@pytest.mark.parametrize("with_template", [False, True])
def test_a_prompt_that_is_cut_away_whole_is_told(characters, with_template):
    """Where nothing but what the template writes between question and answer is left, too."""
    characters.chat_template = CHATML if with_template else None
    example = Example(4, prompt="p" * 30, completion="answer")
    whole = check_tokens([example], characters, LONG)["tokens"]["tokens"]
    behind = len("<|im_end|>\n<|im_start|>assistant\n") - 20 if with_template else len("\nAssistant:")
    answer = len("answer") + (1 if with_template else 2)
    told = {
        length: codes(check_tokens([example], characters, Limits("causal_lm", length)))
        for length in range(answer, whole + 1)
    }
    assert all(found == {"lost_prompt": 1} for length, found in told.items() if length <= answer + behind)
    assert all(found == {"truncated_prompt": 1} for length, found in told.items() if answer + behind < length < whole)
    [warning] = check_tokens([example], characters, Limits("causal_lm", answer), "text_label")["warnings"]
    assert "what it answers is cut away whole" in warning["message"] and warning["field"] == "text"


def test_a_text_that_is_classified_loses_its_end_and_it_is_told(characters):
    examples = [Example(1, prompt="p" * 10, completion="yes"), Example(2, prompt="p" * 100, completion="no")]
    checked = check_tokens(examples, characters, Limits("sequence_classification", 50))
    assert codes(checked) == {"truncated_text": 1}
    (fault,) = checked["warnings"]
    assert fault["line"] == 2 and "its end is cut. Raise max_length" in fault["message"]
    truncated = checked["tokens"]["truncated"]
    assert (truncated["records"], truncated["ends"], truncated["prompts"]) == (1, 1, 0)


def test_answers_that_are_cut_away_are_counted_and_told(chatml):
    turns = (*CHAT, *CHAT, *CHAT)
    whole = check_tokens([Example(1, messages=turns)], chatml, LONG)["tokens"]
    each = whole["trained_tokens"] // 3
    one_turn = whole["tokens"] // 3
    checked = check_tokens([Example(1, messages=turns)], chatml, Limits("causal_lm", whole["tokens"] - one_turn - 1))
    assert (
        codes(checked) == {"lost_answers": 1}
        and "1 of the assistant's answers is lost" in checked["warnings"][0]["message"]
    )
    truncated = checked["tokens"]["truncated"]
    assert (truncated["answers"], truncated["answer_tokens"], truncated["ends"]) == (1, each, 0)
    checked = check_tokens([Example(1, messages=turns)], chatml, Limits("causal_lm", each - 1))
    assert codes(checked) == {"truncated_answer": 1, "lost_prompt": 1, "lost_answers": 1}
    assert checked["tokens"]["truncated"]["answers"] == 2


def test_the_context_of_the_model_counts_where_it_is_shorter(characters):
    examples = [Example(1, prompt="p" * 100, completion="answer")]
    checked = check_tokens(examples, characters, Limits("causal_lm", 2048, 40))
    assert (checked["tokens"]["usable_length"], checked["tokens"]["kept_tokens"]) == (40, 40)


def test_bos_twice_is_told(sentencepiece):
    sentencepiece.chat_template = "{{ bos_token }}{{ bos_token }}" + CHATML
    assert codes(check_tokens([Example(1, messages=CHAT)], sentencepiece, LONG)) == {"double_bos": 1}
    sentencepiece.chat_template = None
    assert codes(check_tokens([Example(1, text="<s>hi")], sentencepiece, LONG)).get("double_bos") is None


def test_answers_that_are_never_closed_are_told(characters):
    twice = Example(1, messages=(*CHAT, *CHAT))
    characters.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    assert codes(check_tokens([twice], characters, LONG)) == {"end_not_trained": 1}
    characters.chat_template = CHATML
    assert codes(check_tokens([twice], characters, LONG)) == {}


def test_special_tokens_in_the_text_are_told_with_what_becomes_of_them(characters):
    examples = [Example(1, prompt="<eos> and <eos>", completion="x"), Example(2, prompt="a", completion="<|im_end|>")]
    checked = check_tokens(examples, characters, LONG)
    assert checked["tokens"]["special_tokens"] == {"<eos>": 1, "<|im_end|>": 1}
    assert codes(checked) == {"special_token_in_text": 2}
    assert "'<eos>' in prompt; it stays text" in checked["warnings"][0]["message"]
    twice = (CHAT[0], {"role": "assistant", "content": "a<eos>b<eos>"}, {"role": "user", "content": "<eos>"}, CHAT[-1])
    checked = check_tokens([Example(1, messages=twice)], characters, LONG)
    assert checked["tokens"]["special_tokens"] == {"<eos>": 1}
    told = [each["field"] for each in checked["warnings"] if each["code"] == "special_token_in_text"]
    assert told == ["messages[1].content", "messages[2].content"]
    classified = check_tokens(examples[:1], characters, Limits("sequence_classification", 100))
    assert "is read as that token" in classified["warnings"][0]["message"]


def test_unknown_tokens_are_counted(sentencepiece, characters):
    checked = check_tokens([Example(1, text="ж" * 1 + "abcdefgh")], sentencepiece, LONG)
    assert checked["tokens"]["unknown"]["tokens"] == 1
    assert codes(checked) == {"unknown_tokens": 1}
    assert check_tokens([Example(1, text="abc")], characters, LONG)["tokens"]["unknown"] is None


def test_what_cannot_be_tokenised_is_an_error_and_the_rest_goes_on(characters):
    characters.chat_template = "{{ raise_exception('no') }}"
    tools = [Example(1, messages=CHAT), Example(2, text="fine")]
    checked = check_tokens(tools, characters, LONG)
    assert codes(checked) == {"not_tokenised": 1} and "refuses" in checked["errors"][0]["message"]
    assert checked["tokens"]["records"] == 1
    lone = check_tokens([Example(3, text="\ud800")], characters, LONG)
    assert codes(lone) == {"not_tokenised": 1} and "line 3" in lone["errors"][0]["message"]


def test_large_files_are_looked_at_evenly_and_it_is_said(process, root, tmp_path, monkeypatch):
    assert every_of({"records": 100, "bytes": 1000}) == 1
    assert every_of({"records": 60_001, "bytes": 1000}) == 4
    assert every_of({"records": 10, "bytes": 10**9}) == 63
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"prompt": "q", "completion": "a" * n}) + "\n" for n in range(1, 31)))
    report = validate_dataset(path, path.name).to_json()
    limits = {"task": "causal_lm", "max_length": 100}
    folder = root / "examples" / "base_model" / "model"
    sampled = process.check(folder, reading_of(path, report), limits, every=7)
    assert (sampled["tokens"]["records"], sampled["tokens"]["every"]) == (5, 7)
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    assert sampled == process.check(elsewhere, reading_of(path, report), limits, every=7)
    assert [
        note["message"] for note in merged(report, sampled, "tiny")["notes"] if note["code"] == "tokens_in_part"
    ] == [
        "Token lengths, and faults that only a tokenizer shows, are those of 5 of 30 records: one in 7, always the same "
        "ones. A job looks at all of them."
    ]


def test_the_same_tokenizer_in_another_folder_is_not_loaded_again(root, tmp_path):
    tokenizers, folder = Tokenizers(), tmp_path / "model"
    shutil.copytree(root / "examples" / "base_model" / "model", folder)
    first = tokenizers.get(str(folder), ends_answers=True)
    moved = folder.rename(tmp_path / "moved")
    assert tokenizers.get(str(moved), ends_answers=True) is first
    config = json.loads((moved / "tokenizer_config.json").read_text())
    (moved / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 77}))
    assert tokenizers.get(str(moved), ends_answers=True).model_max_length == 77


def test_errors_of_the_tokenizer_make_the_report_one_that_refuses():
    fault = {"code": "not_tokenised", "message": "Line 3 is odd.", "line": 3, "field": None}
    read = {"errors": [], "warnings": [], "notes": [], "counts": {}, "summary": "5 records.", "records": 5}
    checked = {"errors": [fault], "warnings": [], "counts": {"not_tokenised": 2}, "tokens": {"records": 3, "every": 1}}
    assert merged(read, checked, "tiny")["unusable_records"] is None, "as older versions judged"
    whole = merged({**read, "unusable_records": 1}, checked, "tiny")
    assert whole["unusable_records"] == 3
    assert whole["errors"] == [fault] and whole["summary"] == "3 of 5 records cannot be used: Line 3 is odd."
    assert whole["tokens"] == {"base_model": "tiny", "records": 3, "every": 1} and whole["notes"] == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (['{"prompt": "a", "completion": ""}'], "3 of 4 records cannot be used: Line 2: 'completion' is empty."),
        ([], "2 of 3 records cannot be used: Line 2 is odd."),
    ],
)
def test_the_summary_is_of_all_records_that_cannot_be_used(rows, said, tmp_path):
    path = tmp_path / "rows.jsonl"
    good = [json.dumps({"prompt": "q", "completion": word}) for word in ("a", "b", "c")]
    path.write_text("\n".join([good[0], *rows, *good[1:]]))
    report = validate_dataset(path, path.name).to_json()
    faults = [
        {"code": "not_tokenised", "message": f"Line {line} is odd.", "line": line, "field": None} for line in (2, 3)
    ]
    checked = {"errors": faults, "warnings": [], "counts": {"not_tokenised": 2}, "tokens": {"records": 1, "every": 1}}
    whole = merged(report, checked, "tiny")
    assert whole["summary"].startswith(said) and f"{whole['unusable_records']} of " in whole["summary"]
    assert ("Line 2 is odd. And 1 more like it." in whole["summary"]) == bool(rows)
