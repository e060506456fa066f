"""``shuffle``: brings the records into an order that a seed decides; in memory there is only a part of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool

ROWS_IN_MEMORY = 20_000
BUCKETS = 64


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    seed = settings.seed()

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        places = 0
        for before, row in enumerate(shuffled(rows, Random(seed))):
            places = before
            yield row
        tally.changed = places + 1 if places else 0

    return work


def shuffled(rows: Iterator[Row], random: Random) -> Iterator[Row]:
    """Yield rows in a random order, any as likely as any other.

    What does not fit into memory is dealt out at random to buckets on the disk, which are shuffled one after the other.
    """
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) > ROWS_IN_MEMORY:
            yield from _through_buckets(held, rows, random)
            return
    random.shuffle(held)
    yield from held


def _through_buckets(held: list[Row], rows: Iterator[Row], random: Random) -> Iterator[Row]:
    with ExitStack() as stack:
        buckets = [stack.enter_context(Spool()) for _ in range(BUCKETS)]
        for part in (held, rows):
            for row in part:
                buckets[random.randrange(BUCKETS)].add(row)
        held.clear()
        for bucket in buckets:
            content = list(bucket)
            random.shuffle(content)
            yield from content


KIND = StepKind(
    name="shuffle",
    description="Brings the records into a random order.",
    keys={"seed": "of the order; 0 if omitted"},
    make=_make,
)
