"""Records that say nearly the same: MinHash of their runs of three words, and bands of it to find the candidates.

Broder 1997, "On the resemblance and containment of documents"; the bands are those of Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

from array import array
from operator import eq

from rensa import RMinHash

LIKENESS = 0.8
"""Records that share this part of their runs of words are nearly equal."""

RECORDS_COMPARED = 20_000
"""More are not compared with each other: so many take about 60 MB."""

FEWEST_WORDS = 12
"""Shorter texts are not compared: in short texts a single word is the whole difference."""

_CHARACTERS_COMPARED = 20_000
PERMUTATIONS = 128
_ROWS = 8
_SEED = 42


def signature_of(parts: list[str], permutations: int = PERMUTATIONS) -> bytes | None:
    """Return the signature of a record; None where it has too few words to be compared."""
    words = " ".join(parts)[:_CHARACTERS_COMPARED].lower().split()
    if len(words) < FEWEST_WORDS:
        return None
    sketch = RMinHash(permutations, _SEED)
    sketch.update(list(map("".join, zip(words, words[1:], words[2:], strict=False))))
    return array("I", sketch.digest()).tobytes()


class NearDuplicates:
    """Signatures seen so far, by line.

    A record is held against the first of each of its bands only, so that a million like ones take a million steps.
    """

    def __init__(self) -> None:
        self._lines: list[int] = []
        self._signatures: list[bytes] = []
        self._first_with: dict[tuple[int, int], int] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more are taken."""
        return len(self._lines) >= RECORDS_COMPARED

    def add(self, line: int, signature: bytes) -> int | None:
        """Take a record up; return the line of an earlier one that is nearly equal, None if there is none."""
        bands = _bands(signature)
        like = self._find(signature, bands)
        number = len(self._lines)
        self._lines.append(line)
        self._signatures.append(signature)
        for band in bands:
            self._first_with.setdefault(band, number)
        return like

    def find(self, signature: bytes) -> int | None:
        """Return the line of the first record taken up that is nearly equal; None if there is none."""
        return self._find(signature, _bands(signature))

    def _find(self, signature: bytes, bands: list[tuple[int, int]]) -> int | None:
        candidates = {self._first_with[band] for band in bands if band in self._first_with}
        for number in sorted(candidates):
            if likeness(signature, self._signatures[number]) >= LIKENESS:
                return self._lines[number]
        return None


def _bands(signature: bytes) -> list[tuple[int, int]]:
    width = _ROWS * array("I").itemsize
    return [(start, hash(signature[start : start + width])) for start in range(0, len(signature), width)]


def likeness(one: bytes, other: bytes) -> float:
    """Return the part of their runs of words that two records share, as their signatures tell it."""
    return sum(map(eq, array("I", one), array("I", other))) / PERMUTATIONS
