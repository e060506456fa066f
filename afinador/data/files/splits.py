"""Which split of a data set is read."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.errors import DataError, nearest

SPLIT = "train"


def choose_split(splits: Sequence[str], wanted: str | None) -> str:
    """Return the split to read: the wanted one, else ``train``; no other is ever trained on unasked.

    Raises:
        DataError: There is no such split.
    """
    wanted = wanted or SPLIT
    if wanted not in splits:
        raise DataError(
            f"There is no {wanted!r} among the splits, which are: {', '.join(splits) or 'none'}."
            f"{nearest(wanted, splits)} Declare split as one of these."
        )
    return wanted
