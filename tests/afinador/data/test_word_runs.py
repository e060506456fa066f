"""Runs of words are the same numbers with NumPy and without it, and sketches of them tell what texts have in common."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as any_of

from afinador.data.checks import word_run_arrays, word_runs
from afinador.data.checks.near_duplicates import signatures_of
from afinador.data.checks.sketches import sketches_of
from afinador.data.checks.word_runs import CHARACTERS_COMPARED, FEWEST_WORDS, in_words, runs_of

SPACES = [*" \t\r\n\v\f\x1c\u200b", *word_runs._OTHER_SPACES]
texts = any_of.lists(
    any_of.text(any_of.sampled_from(["a", "B", "ñ", "漢", "\x00", "\ud800", "\U0001f600", *SPACES]), max_size=80),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(texts, any_of.integers(1, 200))
def test_numpy_makes_the_same_runs(drawn: list[str], bytes_at_once: int) -> None:
    written = [in_words(text) for text in drawn]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(word_run_arrays, "_BYTES_AT_ONCE", bytes_at_once)
        assert word_run_arrays.runs_of(written) == runs_of(written)


@given(
    any_of.text(any_of.characters(max_codepoint=0xFF))
    | any_of.text(any_of.sampled_from(["a", "ñ", "Ñ", "漢", "İ", "Σ", *SPACES]))
)
def test_words_are_those_of_the_text_in_small_letters(text: str) -> None:
    assert in_words(text).split() == [word.encode() for word in text.lower().split()]


def test_the_longest_texts_have_runs_below_64_bits() -> None:
    longest = [in_words("\U0010ffff" * CHARACTERS_COMPARED), in_words("\U0010ffff " * CHARACTERS_COMPARED)] * 3
    counts, runs = word_run_arrays.runs_of(longest)
    assert (counts, runs) == runs_of(longest)
    assert counts == 3 * [1, CHARACTERS_COMPARED // 2] and len(runs) == 3 * (CHARACTERS_COMPARED // 2 - 2)
    largest = word_runs.PRIME - 1
    assert largest * (1 + word_runs.SECOND + word_runs.THIRD) < 2**64


@pytest.mark.parametrize("with_arrays", [False, True])
def test_a_sketch_estimates_the_share_of_runs_in_common(with_arrays: bool) -> None:
    draw = random.Random(7)
    words = [f"w{number}" for number in range(3000)]
    for changed in (0.0, 0.02, 0.1, 0.5):
        one = draw.choices(words, k=2000)
        other = [draw.choice(words) if draw.random() < changed else word for word in one]
        runs = [set(zip(text, text[1:], text[2:], strict=False)) for text in (one, other)]
        exact = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
        sketches = sketches_of([" ".join(one), " ".join(other)], 2000, with_arrays=with_arrays)
        assert sketches[0] is not None and sketches[1] is not None
        likeness = sum(a == b for a, b in zip(*sketches, strict=True)) / 2000
        assert likeness == pytest.approx(exact, abs=0.04)


def test_signatures_of_many_are_those_of_each() -> None:
    long, few = " ".join(f"palabra{number}" for number in range(FEWEST_WORDS)), "one two"
    records = [
        [[long], [few], []],
        [[few], [], []],
        [[], [], []],
        [[long], [long], [few]],
        [[few], [long, few], []],
        [[], [], [long]],
    ]
    together = signatures_of(records, with_arrays=True)
    assert together == [signature for record in records for signature in signatures_of([record])]
    assert [found and found.parts for found in together] == [2, None, None, 3, 2, 1]
