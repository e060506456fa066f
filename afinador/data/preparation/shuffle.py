"""``shuffle``: brings the records into an order that a seed decides; in memory there is only a part of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool

BYTES_IN_MEMORY = 16_000_000
"""Of the rows as JSON; as objects they take several times as much."""
MOST_BUCKETS = 256


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
    with ExitStack() as stack:
        spool = stack.enter_context(Spool())
        for row in rows:
            spool.add(row)
        count = min(-(-spool.bytes // BYTES_IN_MEMORY), MOST_BUCKETS)
        buckets = [spool]
        if count > 1:
            buckets = [stack.enter_context(Spool()) for _ in range(count)]
            spool.deal_out(buckets, lambda: random.randrange(count))
            spool.close()
        for bucket in buckets:
            content = list(bucket)
            bucket.close()
            random.shuffle(content)
            while content:
                yield content.pop()


KIND = StepKind(
    name="shuffle",
    description="Brings the records into a random order.",
    keys={"seed": "of the order; 0 if omitted"},
    make=_make,
)
