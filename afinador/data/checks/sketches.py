"""MinHash sketches of texts: numbers that two texts have in common as often as they have runs of words.

Broder 1997, "On the resemblance and containment of documents".
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from types import ModuleType

from rensa import RMinHash

from afinador.data.checks import word_runs
from afinador.data.checks.word_runs import FEWEST_WORDS, in_words

NUMBER = "H"
"""Sixteen bits of each number of a sketch are enough: one in 65,536 is equal by chance."""

_SEED = 42
_LOWER_HALF = int(sys.byteorder == "big")


def sketches_of(texts: Sequence[str], permutations: int, *, with_arrays: bool) -> list[array[int] | None]:
    """Return so many numbers of 16 bits of each text; None of one that has fewer than ``FEWEST_WORDS`` words.

    Args:
        texts: Those to be compared.
        permutations: How many numbers.
        with_arrays: Whether to use NumPy where it is installed, which makes the same of many texts in a third of the time.
    """
    ways = (_arrays() if with_arrays else None) or word_runs
    counts, runs = ways.runs_of([in_words(text) for text in texts])
    lengths = [count - 2 for count in counts if count >= FEWEST_WORDS]
    ends = [0, *accumulate(lengths)]
    rows = iter(RMinHash.digest_matrix_from_flat_token_hashes(runs, ends, permutations, _SEED).to_rows())
    return [_lower_halves(next(rows)) if count >= FEWEST_WORDS else None for count in counts]


def _lower_halves(numbers: list[int]) -> array[int]:
    return array(NUMBER, array("I", numbers).tobytes())[_LOWER_HALF::2]


@cache
def _arrays() -> ModuleType | None:
    """Return ``word_run_arrays`` where NumPy is installed; its import is worth it in large files alone."""
    if find_spec("numpy") is None:
        return None
    from afinador.data.checks import word_run_arrays

    return word_run_arrays
