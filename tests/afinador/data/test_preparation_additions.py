"""What a preparation adds: records with noise, and distractors beside the document of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from afinador.data.preparation import Means, Pipeline
from afinador.data.records import Record
from afinador.errors import DataError
from tests.afinador.data.prepared import NUMBERED, parts_of, run


def test_noise_is_in_what_is_asked_and_in_the_training_part_alone() -> None:
    noise = {"type": "augment", "copies": 2, "rate": 0.5}
    parts = parts_of(NUMBERED, {"type": "split", "validation": 0.5}, noise)
    assert parts == parts_of(NUMBERED, {"type": "split", "validation": 0.5}, {**noise, "only": "train"})
    assert len(parts["validation"]) == 100 and all(row in NUMBERED for row in parts["validation"])
    made = [row for row in parts["train"] if row not in NUMBERED]
    assert len(parts["train"]) == 100 + len(made) and 100 < len(made) <= 200
    assert {row["label"] for row in made} == {"yes", "no"}
    assert parts == parts_of(NUMBERED, {"type": "split", "validation": 0.5}, noise)
    talk = [{"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four five six"}]
    copies = run([{"messages": talk}], {"type": "augment", "rate": 1})[1:]
    assert copies[0]["messages"][1] == talk[1] and copies[0]["messages"][0] != talk[0]
    with pytest.raises(DataError, match="Line 1 is of the shape text, which is learnt whole"):
        run([{"text": "a b"}], {"type": "augment"})


@pytest.mark.parametrize(
    ("noise", "changed"),
    [("swap_characters", "ba"), ("drop_character", ("a", "b")), ("repeat_character", ("aab", "abb")), ("change_case", "AB")],
)  # fmt: skip
def test_each_noise_does_what_its_name_says(noise: str, changed: Any) -> None:
    rows = run([{"text": "ab", "label": "x"}], {"type": "augment", "noises": [noise], "rate": 1, "seed": 4})
    assert rows[1]["text"] in changed
    assert run([{"text": "ab", "label": "x"}], {"type": "augment", "noises": ["drop_word"], "rate": 1}) == rows[:1]


@pytest.mark.parametrize(("text", "seed"), [("one two three", 0), (" one\n two ", 1), ("one one", 2)])
def test_where_all_words_would_go_one_stays(text: str, seed: int) -> None:
    step = {"type": "augment", "noises": ["drop_word"], "rate": 1, "copies": 20, "seed": seed}
    rows = run([{"text": text, "label": "x"}], step)
    assert len(rows) == 21 and rows == run([{"text": text, "label": "x"}], step)
    assert {row["text"] for row in rows[1:]} == {*text.split()}


def test_distractors_are_those_that_look_most_like_the_answer() -> None:
    documents = [
        f"The {animal} says {sound}." for animal, sound in (("cat", "meow"), ("dog", "woof"), ("hen", "cluck"))
    ]
    documents += ["The cat sleeps all day.", "Nothing of the kind."]
    rows = [
        {"id": n, "q": f"What says the {name}?", "d": documents[n], "answer": "x"}
        for n, name in enumerate(("cat", "dog", "hen"))
    ]
    step = {
        "type": "raft",
        "question": "q",
        "document": "d",
        "distractors": 2,
        "without_oracle": 0,
        "documents": "more",
    }
    more = [Record(1, {"text": text}) for text in documents[3:]]
    steps = Pipeline([step], Means(read_documents=lambda name: more))
    made = [row.record.fields for row in steps.run((Record(n, row) for n, row in enumerate(rows, 1)), "rows")]
    assert [row["oracle"] for row in made] == documents[:3]
    assert made[0]["distractors"][0] == "The cat sleeps all day."
    assert made[0].keys() == {"id", "question", "oracle", "distractors", "answer"}
    assert all(len(row["distractors"]) == 2 and row["oracle"] not in row["distractors"] for row in made)
    with pytest.raises(DataError, match="of documents there are 3, too few for 3 distractors"):
        run(rows, {**step, "documents": None, "distractors": 3})
    steps = Pipeline([{**step, "documents": None, "distractors": 1, "without_oracle": 0.25}])
    made = [row.record.fields for row in steps.run((Record(n, row) for n, row in enumerate(rows * 4, 1)), "rows")]
    assert sum("oracle" not in row for row in made) == steps.tallies[0].counts["without_oracle"] == 3
    made = run(rows * 40, {**step, "documents": None, "distractors": 1, "without_oracle": 0.25})
    without = [row for row in made if "oracle" not in row]
    assert len(without) == 30 and all(len(row["distractors"]) == 2 for row in without)


def test_noise_and_other_letters_reach_pairs_in_all_their_forms() -> None:
    said = [{"role": "user", "content": "How Is The Weather In Lima Today"}]
    better, worse = ([{"role": "assistant", "content": text}] for text in ("Sunny", "Rain"))
    pairs = [
        {"prompt": said, "chosen": better, "rejected": worse},
        {"input": {"messages": said}, "preferred_output": better, "non_preferred_output": worse},
    ]
    lowered = run(pairs, {"type": "transform", "operation": "lowercase"})
    assert json.dumps(lowered) == json.dumps(pairs).replace(
        "How Is The Weather In Lima Today", said[0]["content"].lower()
    ).replace("Sunny", "sunny").replace("Rain", "rain")
    noisy = run(pairs, {"type": "augment", "rate": 1.0})
    assert len(noisy) == 4 and [each for each in noisy if each in pairs] == pairs
    assert all(each.get("chosen", better) == better for each in noisy)
