"""Records that say nearly the same: MinHash of their runs of three words, and bands of it to find the candidates.

What is asked and what is answered have to be alike, each by itself: many short questions on one long document, or answers
to them, are not the same. Too few words for a sketch are alike where they are equal but for capitals and white space.

Broder 1997, "On the resemblance and containment of documents"; the bands are those of Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from operator import eq
from typing import NamedTuple

from rensa import RMinHash

LIKENESS = 0.8
"""Records that share this part of their runs of words are nearly equal."""

RECORDS_COMPARED = 20_000
"""More are not compared with each other: so many take about 60 MB."""

FEWEST_WORDS = 12
"""Shorter texts are not compared: in short texts a single word is the whole difference."""

_CHARACTERS_COMPARED = 20_000
PERMUTATIONS = 128
SIGNATURE_BYTES = PERMUTATIONS * array("I").itemsize
_ROWS = 8
_SEED = 42


class Signature(NamedTuple):
    """By what a record is compared.

    Attributes:
        content: Of ``PERMUTATIONS`` numbers.
        has_answer: Whether every second number is of the answer alone, and the others of all else.
    """

    content: bytes
    has_answer: bool

    @classmethod
    def of(cls, given: list[str], answer: list[str]) -> Signature | None:
        """Return the signature of a record.

        Args:
            given: Its texts, without those of the answer.
            answer: What is learnt of it, which has to be alike by itself; empty where it is not told apart.

        Returns:
            None where there are too few words to be compared.
        """
        if not given or not answer:
            whole = _sketch_of([*given, *answer], PERMUTATIONS)
            return None if whole is None else cls(whole.tobytes(), has_answer=False)
        halves = [_sketch_of(part, PERMUTATIONS // 2) for part in (given, answer)]
        if halves == [None, None]:
            return None
        both = array("I", bytes(SIGNATURE_BYTES))
        for start, half, part in zip((0, 1), halves, (given, answer), strict=True):
            both[start::2] = _of_few_words(part) if half is None else half
        return cls(both.tobytes(), has_answer=True)

    def likeness_to(self, known: bytes) -> float:
        """Return the share of runs of words that a record has in common with another one; of its parts the lesser.

        Args:
            known: The content of the other's signature.
        """
        one, other = array("I", self.content), array("I", known)
        if not self.has_answer:
            return sum(map(eq, one, other)) / PERMUTATIONS
        return min(sum(map(eq, one[start::2], other[start::2])) for start in (0, 1)) / (PERMUTATIONS // 2)


def _sketch_of(part: list[str], permutations: int) -> array[int] | None:
    words = " ".join(part)[:_CHARACTERS_COMPARED].lower().split()
    if len(words) < FEWEST_WORDS:
        return None
    sketch = RMinHash(permutations, _SEED)
    sketch.update(list(map("".join, zip(words, words[1:], words[2:], strict=False))))
    return array("I", sketch.digest())


def _of_few_words(part: list[str]) -> array[int]:
    """Return numbers that only the same words have, in the place of a sketch."""
    words = " ".join(" ".join(part).lower().split())
    return array("I", blake2b(words.encode("utf-8", errors="surrogatepass")).digest() * (SIGNATURE_BYTES // 128))


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

    def add(self, line: int, signature: Signature) -> int | None:
        """Take a record up; return the line of an earlier one that is nearly equal, None if there is none."""
        bands = _bands(signature.content)
        like = self._find(signature, bands)
        number = len(self._lines)
        self._lines.append(line)
        self._signatures.append(signature.content)
        for band in bands:
            self._first_with.setdefault(band, number)
        return like

    def find(self, signature: Signature) -> int | None:
        """Return the line of the first record taken up that is nearly equal; None if there is none."""
        return self._find(signature, _bands(signature.content))

    def _find(self, signature: Signature, bands: list[tuple[int, int]]) -> int | None:
        candidates = {self._first_with[band] for band in bands if band in self._first_with}
        for number in sorted(candidates):
            if signature.likeness_to(self._signatures[number]) >= LIKENESS:
                return self._lines[number]
        return None


def _bands(signature: bytes) -> list[tuple[int, int]]:
    width = _ROWS * array("I").itemsize
    return [(start, hash(signature[start : start + width])) for start in range(0, len(signature), width)]
