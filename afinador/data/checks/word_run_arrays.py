"""What ``word_runs`` does, with NumPy: by a few looks at the bytes of all texts at once; see docs/decisions/0015."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

import numpy
from numpy.typing import NDArray

from afinador.data.checks.word_runs import CHARACTERS_COMPARED, FEWEST_WORDS, PRIME, SECOND, THIRD

Numbers = NDArray[numpy.int64]

_BYTES_AT_ONCE = 128 * 1024
"""So many stay near the processor; sums of weighted bytes would stay below 2^63 up to a hundred times as many."""

_TAB, _OTHERS, _SPACE = b"\t", b"\t\n\v\f\r", b" "
"""White space; the others follow each other."""


def runs_of(texts: Sequence[bytes]) -> tuple[list[int], array[int]]:
    """Return how many words each text has, and the runs of those that have enough; see ``word_runs.runs_of``."""
    counts: list[int] = []
    runs = array("Q")
    for some in _at_once(texts):
        found, numbers = _runs_of(some)
        counts += found
        runs.frombytes(numbers.tobytes())
    return counts, runs


def _at_once(texts: Sequence[bytes]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    size = 0
    for text in texts:
        if some and size + len(text) > _BYTES_AT_ONCE:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text) + 1
    if some:
        yield some


def _runs_of(texts: list[bytes]) -> tuple[list[int], NDArray[numpy.uint64]]:
    data = numpy.frombuffer(b" ".join(chain(texts, (b"",))), numpy.uint8)
    # A word begins and ends where white space does; all of it begins behind some, as it were, and ends with a space.
    # What is below the tab comes out high.
    is_space = (data == ord(_SPACE)) | (data - numpy.uint8(ord(_TAB)) < len(_OTHERS))
    borders = numpy.flatnonzero(numpy.diff(is_space, prepend=True))
    starts, ends = borders[::2], borders[1::2]
    weights, inverses = _weights()
    sums = numpy.concatenate(([0], numpy.cumsum(data * weights[: len(data)])))
    numbers = _modulo_prime(_modulo_prime(sums[ends] - sums[starts]) * inverses[starts])
    behind = numpy.cumsum([len(text) + 1 for text in texts])
    counts = numpy.diff(numpy.searchsorted(starts, behind), prepend=0)
    text_of = numpy.repeat(numpy.arange(len(texts)), counts)
    is_run = (text_of[:-2] == text_of[2:]) & (counts >= FEWEST_WORDS)[text_of[:-2]]
    words = numbers.astype(numpy.uint64)
    runs = words[:-2] + words[1:-1] * numpy.uint64(SECOND) + words[2:] * numpy.uint64(THIRD)
    return counts.tolist(), runs[is_run]


def _modulo_prime(numbers: Numbers) -> Numbers:
    # NumPy divides by one number for all in a sixth of the time that it takes for remainders.
    return numbers - numbers // PRIME * PRIME


@cache
def _weights() -> tuple[Numbers, Numbers]:
    """Return the powers of 256 modulo the prime, and their inverses: of a byte at each place."""
    return _powers(256), _powers(pow(256, -1, PRIME))


def _powers(base: int) -> Numbers:
    most = _BYTES_AT_ONCE + 4 * CHARACTERS_COMPARED + 2
    powers = numpy.ones(1, numpy.int64)
    while len(powers) < most:
        powers = numpy.concatenate((powers, powers * pow(base, len(powers), PRIME) % PRIME))
    return powers
