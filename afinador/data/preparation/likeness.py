"""Records that are nearly the same as one before, of a data set of any length: signatures on the disk, bands in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from dataclasses import dataclass
from hashlib import blake2b
from operator import eq
from types import TracebackType

from xxhash import xxh3_64_intdigest

from afinador.data.checks.near_duplicates import PERMUTATIONS, likeness, signature_of
from afinador.errors import DataError, StorageError

LOWEST = 0.5
MOST_COMPARED = 1_000_000
"""So many take 0.5 GB of disk, and 128 MB of memory, or twice that below a likeness of 0.8."""

_WORD_BYTES = array("I").itemsize
_SIGNATURE_BYTES = PERMUTATIONS * _WORD_BYTES


@dataclass(frozen=True)
class Signature:
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
            whole = signature_of([*given, *answer])
            return None if whole is None else cls(whole, has_answer=False)
        halves = [signature_of(part, PERMUTATIONS // 2) for part in (given, answer)]
        if halves == [None, None]:
            return None
        both = array("I", bytes(_SIGNATURE_BYTES))
        for start, half, part in zip((0, 1), halves, (given, answer), strict=True):
            both[start::2] = array("I", _of_few_words(part) if half is None else half)
        return cls(both.tobytes(), has_answer=True)

    def likeness_to(self, known: bytes) -> float:
        """Return the share of runs of words that a record has in common with another one; of its parts the lesser."""
        if not self.has_answer:
            return likeness(self.content, known)
        one, other = array("I", self.content), array("I", known)
        return min(sum(map(eq, one[start::2], other[start::2])) for start in (0, 1)) / (PERMUTATIONS // 2)


def _of_few_words(part: list[str]) -> bytes:
    """Return numbers that only the same words have, in the place of a signature."""
    words = " ".join(" ".join(part).lower().split())
    return blake2b(words.encode("utf-8", errors="surrogatepass")).digest() * (_SIGNATURE_BYTES // 128)


class Likeness:
    """The records taken up so far; a context manager, after which they are gone.

    Two records are compared if they agree in a band of their signatures, each with the first of that band only, as
    ``afinador.data.checks.near_duplicates`` does. A band has numbers of the answer, too, so that the first of it is one
    with a like answer: of many questions on one document not only the first is found again.

    Args:
        threshold: Records at least so alike are nearly the same, ``LOWEST`` to 1.
        place: Which step it is, for errors.
    """

    def __init__(self, threshold: float, place: str) -> None:
        self._threshold, self._place = threshold, place
        # Narrow bands find what is less alike, and compare more for it.
        self._band_bytes = (8 if threshold >= 0.8 else 4) * _WORD_BYTES
        # Twice as many slots as bands, so that the way to a free one is short; untouched ones take no memory.
        self._slots = 2 * MOST_COMPARED * (_SIGNATURE_BYTES // self._band_bytes)
        self._memory = mmap.mmap(-1, self._slots * _WORD_BYTES)
        self._first_with = memoryview(self._memory).cast("I")
        self._signatures = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._count = 0

    def __enter__(self) -> Likeness:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._first_with.release()
        self._memory.close()
        self._signatures.close()

    def is_known(self, signature: Signature | None) -> bool:
        """Tell whether one like it was taken up before; if none was, take it up. What has no signature is like none.

        Raises:
            DataError: There are too many to be compared.
            StorageError: The disk is full.
        """
        if signature is None:
            return False
        free = []
        for start in range(0, _SIGNATURE_BYTES, self._band_bytes):
            slot, known = self._find(signature.content, start)
            if known is None:
                free.append(slot)
            elif signature.likeness_to(known) >= self._threshold:
                return True
        self._add(signature.content, free)
        return False

    def _find(self, signature: bytes, start: int) -> tuple[int, bytes | None]:
        """Return the signature that came first with a band, or where this one would be the first."""
        end = start + self._band_bytes
        band = signature[start:end]
        slot = xxh3_64_intdigest(band, seed=start) % self._slots
        while number := self._first_with[slot]:
            known = os.pread(self._signatures.fileno(), _SIGNATURE_BYTES, (number - 1) * _SIGNATURE_BYTES)
            if known[start:end] == band:
                return slot, known
            slot = (slot + 1) % self._slots
        return slot, None

    def _add(self, signature: bytes, free: list[int]) -> None:
        if self._count == MOST_COMPARED:
            raise DataError(
                f"{self._place}: more than {MOST_COMPARED:,} different records are not compared for likeness. Leave 'near' "
                "out, or prepare the data set in parts."
            )
        try:
            self._signatures.write(signature)
        except OSError as error:
            raise StorageError(f"Rows cannot be compared in {tempfile.gettempdir()}: {error.strerror}.") from error
        self._count += 1
        for slot in free:
            while self._first_with[slot]:  # by another band of the same signature
                slot = (slot + 1) % self._slots
            self._first_with[slot] = self._count
