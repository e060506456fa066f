"""Records that say nearly the same: MinHash of their runs of three words, and bands of it to find the candidates.

What is asked and what is answered have to be alike, each by itself: many short questions on one long document, or answers
to them, are not the same. Too few words for a sketch are alike where they are equal but for capitals and white space.

Broder 1997, "On the resemblance and containment of documents"; the bands are those of Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from operator import eq
from typing import NamedTuple

from rensa import RMinHash
from xxhash import xxh3_64_intdigest

LIKENESS = 0.8
"""Records that share this part of their runs of words are nearly equal."""

RECORDS_COMPARED = 200_000
"""About so many are compared with each other, which takes 80 MB; of later ones nearly equal ones are not looked for."""

_MOST_OF_A_PART = 50_000
"""A part of a file, 1 MiB, that was begun is taken to its end: records of twelve words in 24 bytes each are fewer."""

FEWEST_WORDS = 12
"""Shorter texts are not compared: in short texts a single word is the whole difference."""

_CHARACTERS_COMPARED = 20_000
PERMUTATIONS = 128
_NUMBER = "H"
"""Sixteen bits of each number of a sketch are enough: one in 65,536 is equal by chance."""
NUMBER_BYTES = array(_NUMBER).itemsize
SIGNATURE_BYTES = PERMUTATIONS * NUMBER_BYTES
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
        both = array(_NUMBER, bytes(SIGNATURE_BYTES))
        for start, half, part in zip((0, 1), halves, (given, answer), strict=True):
            both[start::2] = _of_few_words(part) if half is None else half
        return cls(both.tobytes(), has_answer=True)

    def likeness_to(self, known: bytes) -> float:
        """Return the share of runs of words that a record has in common with another one; of its parts the lesser.

        Args:
            known: The content of the other's signature.
        """
        one, other = array(_NUMBER, self.content), array(_NUMBER, known)
        if not self.has_answer:
            return sum(map(eq, one, other)) / PERMUTATIONS
        return min(sum(map(eq, one[start::2], other[start::2])) for start in (0, 1)) / (PERMUTATIONS // 2)


def _sketch_of(part: list[str], permutations: int) -> array[int] | None:
    words = " ".join(part)[:_CHARACTERS_COMPARED].lower().split()
    if len(words) < FEWEST_WORDS:
        return None
    sketch = RMinHash(permutations, _SEED)
    sketch.update(list(map("".join, zip(words, words[1:], words[2:], strict=False))))
    return array(_NUMBER, [number & 0xFFFF for number in sketch.digest()])


def _of_few_words(part: list[str]) -> array[int]:
    """Return numbers that only the same words have, in the place of a sketch."""
    words = " ".join(" ".join(part).lower().split())
    return array(_NUMBER, blake2b(words.encode("utf-8", errors="surrogatepass")).digest() * (SIGNATURE_BYTES // 128))


class Bands:
    """Which signature came first with each band; a number each, in a table whose untouched parts take no memory.

    Args:
        most: How many signatures it takes.
        numbers: That each band has.
        content_of: Returns the content of the signature of a number, from 1.
    """

    def __init__(self, most: int, numbers: int, content_of: Callable[[int], bytes]) -> None:
        self._content_of = content_of
        self._band_bytes = numbers * NUMBER_BYTES
        # Twice as many slots as bands, so that the way to a free one is short.
        self._slots = 2 * most * (SIGNATURE_BYTES // self._band_bytes)
        self._memory = mmap.mmap(-1, self._slots * array("I").itemsize)
        self._first_with = memoryview(self._memory).cast("I")

    def find(self, content: bytes) -> Iterator[tuple[int, int]]:
        """Yield for each band a slot, and the number of the signature that came first with it; 0: this would be the first."""
        for start in range(0, SIGNATURE_BYTES, self._band_bytes):
            end = start + self._band_bytes
            band = content[start:end]
            slot = xxh3_64_intdigest(band, seed=start) % self._slots
            while (number := self._first_with[slot]) and self._content_of(number)[start:end] != band:
                slot = (slot + 1) % self._slots
            yield slot, number

    def add(self, number: int, free: list[int]) -> None:
        """Note that a signature is the first with the bands for which ``find`` gave these slots."""
        for slot in free:
            while self._first_with[slot]:  # by another band of the same signature
                slot = (slot + 1) % self._slots
            self._first_with[slot] = number

    def close(self) -> None:
        """Give the memory back."""
        self._first_with.release()
        self._memory.close()


class NearDuplicates:
    """Signatures seen so far, by line.

    A record is held against the first of each of its bands only, so that a million like ones take a million steps.
    """

    def __init__(self) -> None:
        self._lines = array("Q")
        self._have_answers = bytearray()
        self._contents = bytearray()
        self._bands = Bands(RECORDS_COMPARED + _MOST_OF_A_PART, _ROWS, self._content_of)

    @property
    def is_full(self) -> bool:
        """Whether no further part of a file is to be taken."""
        return len(self._lines) >= RECORDS_COMPARED

    def records(self) -> Iterator[tuple[int, Signature]]:
        """Yield line and signature of each, in their order."""
        for number, (line, has_answer) in enumerate(zip(self._lines, self._have_answers, strict=True), start=1):
            yield line, Signature(self._content_of(number), bool(has_answer))

    def add(self, line: int, signature: Signature) -> int | None:
        """Take a record up; return the line of an earlier one that is nearly equal, None if there is none."""
        found = list(self._bands.find(signature.content))
        like = self._like(signature, found)
        self._lines.append(line)
        self._have_answers.append(signature.has_answer)
        self._contents += signature.content
        self._bands.add(len(self._lines), [slot for slot, number in found if not number])
        return like

    def find(self, signature: Signature) -> int | None:
        """Return the line of the first record taken up that is nearly equal; None if there is none."""
        return self._like(signature, self._bands.find(signature.content))

    def _like(self, signature: Signature, found: Iterable[tuple[int, int]]) -> int | None:
        for number in sorted({number for _, number in found if number}):
            if signature.likeness_to(self._content_of(number)) >= LIKENESS:
                return self._lines[number - 1]
        return None

    def _content_of(self, number: int) -> bytes:
        return bytes(self._contents[(number - 1) * SIGNATURE_BYTES : number * SIGNATURE_BYTES])
