"""Deduplication of what is nearly the same: the first of it stays, and another answer is another record."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from tests.afinador.data.prepared import run, tallied


def written(words: list[str], number: int) -> dict[str, Any]:
    return {"id": number, "text": " ".join(words), "label": str(number % 2)}


def test_the_first_of_what_is_nearly_the_same_stays() -> None:
    random = Random(3)
    rows, firsts = [], []
    for number in range(0, 300, 3):
        words = [f"w{random.randrange(500)}" for _ in range(80)]
        firsts.append(written(words, number))
        changed = [*words[:40], "other", *words[41:]]  # 3 of 78 runs of three words are others
        rows += [firsts[-1], written(changed, number + 1), {**firsts[-1], "id": number}]
    kept, tallies = tallied(rows, {"type": "deduplicate", "fields": ["text"], "near": 0.85})
    assert kept == firsts and tallies[0].counts == {"exact": 100, "near": 100}
    assert (tallies[0].rows_in, tallies[0].rows_out) == (300, 100)
    half = [
        written([*"abcdefghijkl"], 1),
        written([*"abcdefgxxxxx"], 2),
        written(["short"], 3),
        written(["short", "x"], 4),
    ]
    assert tallied(half, {"type": "deduplicate", "fields": ["text"], "near": 0.9})[0] == half
    assert tallied(rows, {"type": "deduplicate"})[1][0].counts == {"exact": 100}


def asked_of(context: str, question: str, answer: str) -> list[dict[str, Any]]:
    """One record in three shapes."""
    prompt = f"{context}\n{question}"
    talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return [{"prompt": prompt, "completion": answer}, {"messages": talk}, {"question": prompt, "answer": answer}]


@pytest.mark.parametrize("shape", range(3))
def test_what_is_nearly_the_same_has_nearly_the_same_answer(shape: int) -> None:
    random = Random(5)
    context, long = (" ".join(f"w{random.randrange(500)}" for _ in range(words)) for words in (300, 100))
    rows = [asked_of(context, "Who won?", "Denver")[shape], asked_of(context, "Where?", "Lima")[shape]]
    rows += [
        asked_of(context, f"Why {number}?", f"{number} {' '.join(long.split()[number * 40 :])}")[shape]
        for number in range(3)
    ]
    rows.append(asked_of(context, "Where then?", "Lima")[shape])
    again = [asked_of(f"{context} w0", "WHERE?", " lima")[shape], asked_of(context, "Why  0?", f"0 {long} so")[shape]]
    kept, tallies = tallied([*rows, *again], {"type": "deduplicate", "near": 0.8})
    assert kept == rows and tallies[0].counts == {"exact": 0, "near": 2}


def test_calls_of_tools_are_answers_too() -> None:
    asked = {"role": "user", "content": " ".join(f"word {number}" for number in range(20))}
    calls = [[{"function": {"name": "sky", "arguments": json.dumps({"city": city})}}] for city in ("Lima", "Quito")]
    rows = [{"messages": [asked, {"role": "assistant", "tool_calls": each}]} for each in calls]
    assert run(rows, {"type": "deduplicate", "near": 0.6}) == rows
    labelled = [{"text": asked["content"], "label": label} for label in (1, 2)]
    assert run(labelled, {"type": "deduplicate", "near": 0.6}) == labelled


def told_by(system: str, question: str, answer: str) -> dict[str, dict[str, Any]]:
    """One conversation in all shapes that hold messages."""
    asked = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    answered, worse = ([{"role": "assistant", "content": text}] for text in (answer, "It depends."))
    return {
        "messages": {"messages": [*asked, *answered]},
        "prompt_completion": {"prompt": asked, "completion": answered},
        "text beside messages": {"prompt": asked, "completion": answer},
        "preference": {"prompt": asked, "chosen": answered, "rejected": worse},
        "preference without prompt": {"chosen": [*asked, *answered], "rejected": [*asked, *worse]},
        "openai_preference": {
            "input": {"messages": asked}, "preferred_output": answered, "non_preferred_output": worse
        },
    }  # fmt: skip


@pytest.mark.parametrize("shape", told_by("", "", ""))
def test_other_questions_under_one_instruction_stay_in_every_shape_of_messages(shape: str, verdict: Any) -> None:
    random = Random(7)
    system, question, other = (" ".join(f"w{random.randrange(500)}" for _ in range(words)) for words in (200, 20, 20))
    rows = [told_by(system, question, "Yes.")[shape], told_by(system, other, "Yes.")[shape]]
    rows += [told_by(other, question, "Yes.")[shape], told_by(system, question, "No.")[shape]]
    again = told_by(f"{system} so", question, "yes.")[shape]
    kept, tallies = tallied([*rows, again], {"type": "deduplicate", "near": 0.8})
    assert kept == rows and tallies[0].counts == {"exact": 0, "near": 1}
    assert verdict([*rows, again]).counts["near_duplicate"] == 1, "by the same rule"
