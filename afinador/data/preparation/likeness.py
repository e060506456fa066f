"""Records that are nearly the same as one before, of a data set of any length: signatures on the disk, bands in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from types import TracebackType

from xxhash import xxh3_64_intdigest

from afinador.data.checks.near_duplicates import SIGNATURE_BYTES, Signature
from afinador.errors import DataError, StorageError

LOWEST = 0.5
MOST_COMPARED = 1_000_000
"""So many take 0.5 GB of disk, and 128 MB of memory, or twice that below a likeness of 0.8."""

_WORD_BYTES = array("I").itemsize


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
        self._slots = 2 * MOST_COMPARED * (SIGNATURE_BYTES // self._band_bytes)
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
        for start in range(0, SIGNATURE_BYTES, self._band_bytes):
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
            known = os.pread(self._signatures.fileno(), SIGNATURE_BYTES, (number - 1) * SIGNATURE_BYTES)
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
