"""Which split of a data set is read."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.errors import DataError, nearest

SPLIT = "train"
ALL = "all"
"""Declares all splits at once, unless one is called so."""


def chosen_splits(splits: Sequence[str], wanted: str | None) -> list[str]:
    """Return the splits to read: the wanted one, or all, by their names; else ``train``: no other is ever trained on unasked.

    Raises:
        DataError: There is no such split.
    """
    wanted = wanted or SPLIT
    if wanted in splits:
        return [wanted]
    if wanted == ALL and splits:
        return sorted(splits)
    raise DataError(
        f"There is no {wanted!r} among the splits, which are: {', '.join(splits) or 'none'}."
        f"{nearest(wanted, splits)} Declare split as one of these, or as {ALL}."
    )
