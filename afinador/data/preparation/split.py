"""``split``: deals the records out to the parts ``train``, ``validation`` and ``test``, each of which becomes a file.

Records of one group stay together, so that nothing of the training data is measured on: a group are all records with
the same value in a field (a customer, a document), or, if none is named, those of which the same is read and learnt,
whatever else they hold (an id, a date). With ``stratify`` each
part has each value of a field as often as its share says, and none has a value that ``train`` lacks: a classifier could
not answer with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from afinador.data.preparation.deduplicate import digest_of
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool
from afinador.data.records import Record
from afinador.data.shapes import SHAPES, shape_of
from afinador.errors import DataError, InvalidRequestError
from afinador.figures import counted

TRAIN = "train"
PARTS = (TRAIN, "validation", "test")
_TOLERANCE = 1e-6


@dataclass
class _Groups:
    """Which rows belong together, as numbers in the order of the rows."""

    of_row: array[int] = field(default_factory=lambda: array("q"))
    sizes: list[int] = field(default_factory=list)
    strata: dict[bytes, list[int]] = field(default_factory=dict)
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def add(self, record: Record, group: str | None, stratify: str | None) -> None:
        digest = digest_of(record, [group] if group else _trained_on(record))
        number = self._numbers.setdefault(digest, len(self.sizes))
        if number == len(self.sizes):
            self.sizes.append(0)
            stratum = digest_of(record, [stratify]) if stratify else b""
            self.strata.setdefault(stratum, []).append(number)
        self.sizes[number] += 1
        self.of_row.append(number)


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    shares = _shares(settings)
    group = settings.optional_text("group", "the name of a field")
    stratify = settings.optional_text("stratify", "the name of a field")
    seed = settings.seed()

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        groups = _Groups()
        with Spool() as spool:
            for row in rows:
                spool.add(row)
                groups.add(row.record, group, stratify)
            chosen = _dealt_out(groups, shares, Random(seed), is_stratified=stratify is not None)
            for part in shares:
                tally.parts[part] = sum(groups.sizes[number] for number, each in enumerate(chosen) if each == part)
            if together := sum(size for size in groups.sizes if size > 1):
                tally.counts = {"kept_together": together}
            _require_rows(settings, tally.parts, len(spool), len(groups.sizes))
            for row, number in zip(spool, groups.of_row, strict=True):
                yield replace(row, part=chosen[number])

    return work


def _trained_on(record: Record) -> list[str]:
    """Return the fields that training takes of a record; none of a record without a known shape, which counts whole."""
    shape = shape_of(record.fields)
    if shape is None:
        return []
    return [name for name in (*SHAPES[shape].fields, *SHAPES[shape].optional) if name in record.fields]


def parts_of(settings: Settings) -> tuple[str, ...]:
    """Return the parts that the settings of a split make, in the order of ``PARTS``."""
    return tuple(_shares(settings))


def _shares(settings: Settings) -> dict[str, float]:
    given = {part: settings.number_of(part, 0, 1) for part in PARTS if settings.has(part)}
    shares = {"validation": 0.1} if not given else dict(given)
    shares.setdefault("train", 1 - sum(shares.values()))
    if abs(sum(shares.values()) - 1) > _TOLERANCE or shares["train"] <= 0:
        said = ", ".join(f"{part} {shares[part]:g}" for part in PARTS if part in shares)
        raise InvalidRequestError(
            f"{settings.place}: the shares are {said}; together they must be 1, and train more than 0. "
            "Leave train out, and it is the rest.",
            param=settings.param("train"),
        )
    return {part: shares[part] for part in PARTS if shares.get(part)}


def _dealt_out(groups: _Groups, shares: dict[str, float], random: Random, *, is_stratified: bool) -> list[str]:
    """Give each group to the part that lacks most rows; what a stratum could not give is made up for by the next.

    Where there are strata, the first group of each is for training.
    """
    chosen = [""] * len(groups.sizes)
    lacking = dict.fromkeys(shares, 0.0)
    for numbers in groups.strata.values():
        rows = sum(groups.sizes[number] for number in numbers)
        for part, share in shares.items():
            lacking[part] += share * rows
        random.shuffle(numbers)
        for place, number in enumerate(numbers):
            part = TRAIN if is_stratified and place == 0 else max(lacking, key=lambda each: lacking[each])
            chosen[number] = part
            lacking[part] -= groups.sizes[number]
    return chosen


def _require_rows(settings: Settings, parts: dict[str, int], rows: int, groups: int) -> None:
    empty = next((part for part, count in parts.items() if not count), None)
    if rows and empty is not None:
        raise DataError(
            f"{settings.place}: the part {empty} gets none of {counted(rows, 'record')} in {counted(groups, 'group')}. Raise its share, "
            "leave it out, or group or stratify by another field."
        )


KIND = StepKind(
    name="split",
    description="Deals the records out to `train`, `validation` and `test`, each of which becomes a file. Records of a group stay together, or if none is named those of which the same is read and learnt, whatever their ids; how many such records have another one like them is told.",
    keys={
        "train": "its share; the rest if omitted",
        "validation": "its share; 0.1 if no share is given at all",
        "test": "its share",
        "stratify": "a field whose values each part has in the same proportion; `train` has each of them, also one that occurs once",
        "group": "a field; records with the same value stay together, and nothing else decides then",
        "seed": "of the draw; 0 if omitted",
    },
    make=_make,
)
