"""Which split of a data set is read."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.errors import DataError, nearest

SPLIT = "train"


def choose_split(splits: Sequence[str], wanted: str | None) -> str:
    """Return the split to read: the wanted one, else ``train``, else the only one.

    Raises:
        DataError: There is no such split.
    """
    if wanted is None:
        wanted = splits[0] if len(splits) == 1 else SPLIT
    if wanted not in splits:
        raise DataError(
            f"There is no split {wanted!r}; there are: {', '.join(splits) or 'none'}.{nearest(wanted, splits)} "
            "Declare split as one of these."
        )
    return wanted
