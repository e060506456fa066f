"""Records that say nearly the same: MinHash of their runs of three words, and bands of it to find the candidates.

What is asked and what is answered have to be alike, each by itself: many short questions on one long document, or answers
to them, are not the same. So have an instruction that many questions share, such as a system prompt, and what follows it. Too
few words for a sketch are alike where they are equal but for capitals and white space.

The bands are those of Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import mmap
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import eq
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from afinador.data.checks.sketches import NUMBER, sketches_of

LIKENESS = 0.8
"""Records that share this part of their runs of words are nearly equal."""

RECORDS_COMPARED = 200_000
"""About so many are compared with each other, which takes 80 MB; of later ones nearly equal ones are not looked for."""

_MOST_OF_A_PART = 50_000
"""A part of a file, 1 MiB, that was begun is taken to its end: records of twelve words in 24 bytes each are fewer."""

PERMUTATIONS = 128
NUMBER_BYTES = array(NUMBER).itemsize
SIGNATURE_BYTES = PERMUTATIONS * NUMBER_BYTES
_ROWS = 8


class Signature(NamedTuple):
    """By what a record is compared.

    Attributes:
        content: Of ``PERMUTATIONS`` numbers, those of the parts in turns.
        parts: How many parts of the record have to be alike, each by itself.
    """

    content: bytes
    parts: int

    def likeness_to(self, known: bytes) -> float:
        """Return the share of runs of words that a record has in common with another one; of its parts the least.

        Args:
            known: The content of the other's signature.
        """
        width, step = PERMUTATIONS // self.parts, self.parts
        one, other = (array(NUMBER, content)[: width * step] for content in (self.content, known))
        return min(sum(map(eq, one[start::step], other[start::step])) for start in range(step)) / width


def signatures_of(records: Sequence[list[list[str]]], *, with_arrays: bool = False) -> list[Signature | None]:
    """Return the signatures of some records; None of one that has too few words to be compared.

    Args:
        records: Of each the texts of its parts; parts without any do not count.
        with_arrays: As ``sketches_of`` takes it.
    """
    joined = [[" ".join(part) for part in parts if part] for parts in records]
    like: dict[int, list[int]] = defaultdict(list)
    for place, texts in enumerate(joined):
        like[len(texts)].append(place)
    found: list[Signature | None] = [None] * len(joined)
    for parts, places in like.items():
        if not parts:
            continue
        texts = [text for place in places for text in joined[place]]
        sketches = sketches_of(texts, PERMUTATIONS // parts, with_arrays=with_arrays)
        for start, place in zip(range(0, len(texts), parts), places, strict=True):
            found[place] = _signature_of(joined[place], sketches[start : start + parts])
    return found


def _signature_of(texts: list[str], sketches: list[array[int] | None]) -> Signature | None:
    if not any(sketches):
        return None
    parts, width = len(texts), PERMUTATIONS // len(texts)
    numbers = array(NUMBER, bytes(SIGNATURE_BYTES))
    for start, (text, sketch) in enumerate(zip(texts, sketches, strict=True)):
        numbers[start : width * parts : parts] = sketch or _of_few_words(text, width)
    return Signature(numbers.tobytes(), parts)


def in_parts(question: list[str], answer: list[str], instruction: list[str], *, is_prompt: bool) -> list[list[str]]:
    """Return the parts of a record that have to be alike, each by itself, where it is to be nearly the same as another one.

    Args:
        question: What is asked; may be empty.
        answer: What is learnt; empty where it is not told apart.
        instruction: What many questions may share: a system prompt, what is to be done with an input.
        is_prompt: Whether a question may hold such an instruction itself; its last paragraph (where it has one alone, its last
            line) is then apart from what stands before.
    """
    if not question:
        question, instruction = instruction, []
    if is_prompt and answer and not instruction and len(question) == 1:
        before, last = _parted(question[0].rstrip())
        question, instruction = [last], [before] if before else []
    return [instruction, question, answer]


def _parted(prompt: str) -> tuple[str, str]:
    """Return a prompt up to its last paragraph, or line where it has one paragraph, and that one."""
    end = "\n\n" if "\n\n" in prompt else "\n"
    before, _, last = prompt.rpartition(end)
    if last.endswith(":"):  # where the answer begins: what is asked stands before
        before, _, asked = before.rpartition(end)
        last = asked + end + last
    return before, last


def _of_few_words(text: str, width: int) -> array[int]:
    """Return numbers that only the same words have, in the place of a sketch."""
    words = " ".join(text.lower().split())
    numbers = array(NUMBER, blake2b(words.encode("utf-8", errors="surrogatepass")).digest())
    return (numbers * (PERMUTATIONS // len(numbers)))[:width]


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

    def find(self, content: bytes) -> list[tuple[int, int]]:
        """Return for each band a slot, and the number of the signature that came first with it; 0: this would be the first."""
        first_with, slots, size = self._first_with, self._slots, self._band_bytes
        starts = range(0, SIGNATURE_BYTES, size)
        found = [xxh3_64_intdigest(content[start : start + size], start) % slots for start in starts]
        numbers = [first_with[slot] for slot in found]
        if any(numbers):
            for place, start in enumerate(starts):
                if numbers[place]:
                    found[place], numbers[place] = self._behind(found[place], start, content[start : start + size])
        return list(zip(found, numbers, strict=True))

    def _behind(self, slot: int, start: int, band: bytes) -> tuple[int, int]:
        """Return the first slot from one on that is free, or has this very band, and the number there."""
        end = start + self._band_bytes
        while (number := self._first_with[slot]) and self._content_of(number)[start:end] != band:
            slot = (slot + 1) % self._slots
        return slot, number

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
        self._parts = bytearray()
        self._contents = bytearray()
        self._bands = Bands(RECORDS_COMPARED + _MOST_OF_A_PART, _ROWS, self._content_of)

    @property
    def is_full(self) -> bool:
        """Whether no further part of a file is to be taken."""
        return len(self._lines) >= RECORDS_COMPARED

    def records(self) -> Iterator[tuple[int, Signature]]:
        """Yield line and signature of each, in their order."""
        for number, (line, parts) in enumerate(zip(self._lines, self._parts, strict=True), start=1):
            yield line, Signature(self._content_of(number), parts)

    def add(self, line: int, signature: Signature) -> int | None:
        """Take a record up; return the line of an earlier one that is nearly equal, None if there is none."""
        found = self._bands.find(signature.content)
        like = self._like(signature, found)
        self._lines.append(line)
        self._parts.append(signature.parts)
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
