"""``sample``: keeps some records, drawn by a seed, in their order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from random import Random

from afinador.data.preparation.rows import Means, Row, StepKind, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool
from afinador.errors import InvalidRequestError

MOST_RECORDS = 10_000_000
"""Of each a number is held in memory."""


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    if settings.has("records") == settings.has("share"):
        raise InvalidRequestError(
            f"{settings.place} takes 'records' or 'share'; give one of them.", param=settings.param("records")
        )
    seed = settings.seed()
    if settings.has("share"):
        share = settings.number_of("share", 0, 1)
        return lambda rows, tally: _each_by_chance(rows, share, Random(seed))
    count = settings.whole("records", 1, MOST_RECORDS)
    return lambda rows, tally: _exactly(rows, count, Random(seed))


def _each_by_chance(rows: Iterator[Row], share: float, random: Random) -> Iterator[Row]:
    return (row for row in rows if random.random() < share)


def _exactly(rows: Iterator[Row], count: int, random: Random) -> Iterator[Row]:
    """Draw by a reservoir: each record is as likely as any other, however many they are.

    On the disk lies what was ever drawn, in memory only which of it still is.
    """
    with Spool() as spool:
        kept: array[int] = array("q")
        for number, row in enumerate(rows):
            if number < count:
                kept.append(len(spool))
            elif (place := random.randrange(number + 1)) < count:
                kept[place] = len(spool)
            else:
                continue
            spool.add(row)
        drawn = bytearray(len(spool))
        for place in kept:
            drawn[place] = True
        yield from (row for row, is_drawn in zip(spool, drawn, strict=True) if is_drawn)


KIND = StepKind(
    name="sample",
    description="Keeps some records, drawn at random, in their order.",
    keys={
        "records": f"how many, at most {MOST_RECORDS:,}; all if there are fewer",
        "share": "instead: each one with this probability, 0 to 1",
        "seed": "of the draw; 0 if omitted",
    },
    make=_make,
)
