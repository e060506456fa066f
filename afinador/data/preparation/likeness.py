"""Records that are nearly the same as one before, of a data set of any length: signatures on the disk, bands in memory."""

from __future__ import annotations

import os
import tempfile
from types import TracebackType

from afinador.data.checks.near_duplicates import SIGNATURE_BYTES, Bands, Signature
from afinador.errors import DataError, StorageError

LOWEST = 0.5
MOST_COMPARED = 1_000_000
"""So many take 0.26 GB of disk, and 128 MB of memory, or twice that below a likeness of 0.8."""


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
        self._bands = Bands(MOST_COMPARED, 8 if threshold >= 0.8 else 4, self._content_of)
        self._signatures = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._count = 0

    def __enter__(self) -> Likeness:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bands.close()
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
        for slot, number in self._bands.find(signature.content):
            if not number:
                free.append(slot)
            elif signature.likeness_to(self._content_of(number)) >= self._threshold:
                return True
        self._add(signature.content, free)
        return False

    def _content_of(self, number: int) -> bytes:
        return os.pread(self._signatures.fileno(), SIGNATURE_BYTES, (number - 1) * SIGNATURE_BYTES)

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
        self._bands.add(self._count, free)
