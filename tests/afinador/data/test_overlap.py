"""What a validation file shares with the training file, and labels that only it has."""

import pytest

from afinador.data.checks.repetitions import overlap_of_sketches
from afinador.data.comparison import compare_files, overlap_of
from tests.afinador.data.judged_records import WORDS, pairs


def test_records_of_the_training_file_are_told_in_the_validation_file(verdict):
    text = " ".join(WORDS)
    training = verdict(pairs(20, {"prompt": "p", "completion": text}), "train.jsonl")
    like = {"prompt": "o", "completion": f"{text} {text}".replace("abril", "mayo", 1)}
    validation = verdict(
        [{"completion": "a3", "prompt": "q3"}, {"prompt": "new", "completion": "one"}, like], "valid.jsonl"
    )
    said = overlap_of(training, validation, "train.jsonl")
    assert len(said) == 1 and "Line 1 is also line 4 of train.jsonl" in said[0]
    validation = verdict([{"prompt": "o", "completion": text}], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.counts == {"few_records": 1}
    training = verdict(pairs(20, {"prompt": "p", "completion": f"{text} {text[::-1]} {text.upper()}"}), "train.jsonl")
    validation = verdict([{"prompt": "P ", "completion": f"{text} {text[::-1]} {text.upper()} fin"}], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.is_valid and validation.counts["near_overlap"] == 1


@pytest.mark.parametrize(("task", "codes"), [("causal_lm", []), ("sequence_classification", ["unknown_label"])])
def test_labels_are_judged_by_the_task(verdict, task, codes):
    training = verdict([{"text": f"t{at}", "label": "ab"[at % 2]} for at in range(20)], "train.jsonl")
    validation = verdict([{"text": f"v{at}", "label": "abc"[at % 3]} for at in range(12)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl", task)
    assert [error.code for error in validation.errors] == codes


def test_labels_that_training_never_sees_are_an_error(verdict):
    training = verdict([{"text": f"t{at}", "label": "ab"[at % 2]} for at in range(20)], "train.jsonl")
    validation = verdict([{"text": f"v{at}", "label": "abc"[at % 3]} for at in range(12)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert [error.code for error in validation.errors] == ["unknown_label"]
    assert "'c' occurs 4 times and never in train.jsonl" in validation.errors[0].message
    assert "task causal_lm" in validation.errors[0].message


@pytest.mark.parametrize(
    "training, validation, found",
    [(range(20), range(15, 25), (5, 10)), (range(20), range(20, 25), (0, 5)), (range(2000), range(0, 4000, 2), None)],
)
def test_sketches_tell_what_two_files_share(verdict, training, validation, found):
    sketches = [
        verdict([{"prompt": f"q{at}", "completion": "a"} for at in numbers]).to_json()["fingerprints"]
        for numbers in (training, validation)
    ]
    shared, asked = overlap_of_sketches(*sketches)
    assert (shared, asked) == found if found else 0.4 < shared / asked < 0.6 and asked > 200


def long_pair(at):
    return {"prompt": " ".join(f"{word}{at}" for word in WORDS * 3), "completion": f"a{at}"}


def test_how_many_records_were_compared_is_told_where_not_all_were(verdict, monkeypatch):
    monkeypatch.setattr("afinador.data.checks.near_duplicates.RECORDS_COMPARED", 1000)
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCK_BYTES", 2**15)
    training = verdict([long_pair(at % 2000) for at in range(2001)] + [long_pair("x")], "train.jsonl")
    told = training.to_json()
    assert told["counts"] == {"duplicate": 1}
    nearly = told["compared"]["near"]
    assert 1000 <= nearly < told["compared"]["searched"] < told["compared"]["records"] == 2002
    notes = {note["code"]: note["message"] for note in told["notes"]}
    assert f"Near duplicates were looked for in {nearly} of 2002" in notes["compared_in_part"]
    searched = told["compared"]["searched"]
    assert f"Personal data were looked for in {searched} of 2002" in notes["searched_in_part"]
    again = [{**pair, "prompt": pair["prompt"].upper()} for pair in map(long_pair, (*range(12), "x"))]
    validation = verdict(again, "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.counts == {"near_overlap": 12}
    assert f"looked for in 13 of 13 usable records here, among {nearly} of 2002 there" in validation.notes[-1].message
    compare_files(small := verdict([long_pair(1)] * 100, "train.jsonl"), validation := verdict(again), "train.jsonl")
    assert [note.code for note in small.notes + validation.notes] == ["small_data_set"]


def talk(*texts, system=None):
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + turns}


def test_a_record_that_is_a_turn_of_a_conversation_in_the_other_file_overlaps(verdict):
    training = verdict([talk(f"q{at}", f"a{at}", f"why {at} so?", f"because {at}") for at in range(12)], "train.jsonl")
    held_out = [{"prompt": "q3", "completion": "a3"}, {"prompt": "Why  5 so?", "completion": "because 5"}]
    held_out += [{"prompt": "q4", "completion": "a5"}, {"prompt": "a3", "completion": "why 3 so?"}]
    compare_files(training, validation := verdict(held_out, "valid.jsonl"), "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 1, "near_overlap": 1}
    first, second = [each for each in validation.warnings if "overlap" in each.code]
    assert first.message.startswith("Line 1 is also a turn of the conversation at line 4 of train.jsonl: what was")
    assert (second.line, "line 6 of train.jsonl with other capitals or spaces" in second.message) == (2, True)


def test_a_conversation_with_a_turn_that_is_a_record_of_the_other_file_overlaps(verdict):
    training = verdict(pairs(20), "train.jsonl")
    held_out = [talk("x", "y", "q7", "a7"), talk("q8", "a8", system="Be kind."), talk("q9", "a8", "a9", "q9")]
    held_out[2]["messages"][1]["name"] = "b"  # not of the plain kind
    held_out.append({**talk("q2", "a2", "x", "y"), "id": {"not": "plain"}})
    compare_files(training, validation := verdict(held_out, "valid.jsonl"), "train.jsonl")
    assert [(each.line, each.code) for each in validation.warnings if each.line] == [
        (1, "overlap"),
        (2, "overlap"),
        (4, "overlap"),
    ]
    assert "Line 1 holds a turn that is line 8 of train.jsonl" in validation.summary()
    assert not validation.notes


def test_turns_that_were_not_looked_at_are_a_note(verdict, monkeypatch):
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCK_BYTES", 1000)
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCKS_ALL_SEARCHED", 2)
    training = verdict([talk(f"q{at}", f"a{at}", f"why {at} so?", f"because {at}") for at in range(100)], "train.jsonl")
    validation = verdict([{"prompt": f"q{at}", "completion": f"a{at}"} for at in range(100)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    (note,) = [each for each in validation.notes if "turns of conversations" in each.message]
    assert note.code == "overlap_in_part" and f"among {training.searched} of 100 of train.jsonl" in note.message
    assert 0 < validation.counts["overlap"] <= training.searched < 100
