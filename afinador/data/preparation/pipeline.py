"""Steps in their order: read and checked at once, then run over a data set, each with a count of what it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from afinador.data.files.plain_values import with_plain_values
from afinador.data.preparation import (
    augment,
    convert,
    deduplicate,
    drop_invalid,
    filter,
    raft,
    remove,
    rename,
    sample,
    shuffle,
    split,
    tokenize,
    transform,
)
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.spool import Spool
from afinador.data.quoting import shortened
from afinador.data.records import Problem, Record
from afinador.errors import DataError, InvalidRequestError, UnknownFieldError, nearest

STEPS: dict[str, StepKind] = {
    module.KIND.name: module.KIND
    for module in (
        filter,
        transform,
        rename,
        remove,
        deduplicate,
        drop_invalid,
        sample,
        shuffle,
        split,
        augment,
        raft,
        convert,
        tokenize,
    )
}
MOST_STEPS = 100


@dataclass(frozen=True)
class Step:
    """One step that was read.

    Attributes:
        type: Which of ``STEPS``.
        only: The part of the data set that it works on, None: all.
    """

    type: str
    work: Work
    only: str | None = None


class Pipeline:
    """Steps to be taken with a data set.

    Args:
        steps: As people write them: a list of objects with ``type``, or an object with such a list under ``steps``.
        means: What steps need beside the records.

    Attributes:
        parts: Into which the data set is split; none if it is not.
        documents: Other data sets that steps name.
        tallies: What each step did in the run under way, or the last one.
        leading: The first steps, as they were written, as far as each looks at rows by themselves and needs nothing
            beside them.
        searchable: The first steps, as far as each refuses a row for what is in it alone.
        spent: Seconds that regular expressions took in the run, by the step.

    Raises:
        InvalidRequestError: One of them is unknown or has a bad value: names step, key, value, what is allowed.
    """

    def __init__(self, steps: Any, means: Means | None = None) -> None:
        self._steps: list[Step] = []
        self.parts: tuple[str, ...] = ()
        self.tallies: list[Tally] = []
        self.documents: list[str] = []
        self.leading: list[Any] = []
        self.searchable: list[Step] = []
        self.spent: dict[str, float] = {}
        means = replace(means or Means(), spent=self.spent)
        for number, step in enumerate(_listed(steps), start=1):
            self._add(number, step, means)

    def _add(self, number: int, step: Any, means: Means) -> None:
        kind = step.get("type") if isinstance(step, Mapping) else None
        if not isinstance(kind, str) or kind not in STEPS:
            given = shortened(kind) if isinstance(step, Mapping) and kind is not None else shortened(step, 100)
            raise InvalidRequestError(
                f"The type of step {number} is {given}; it must be one of: {', '.join(STEPS)}.{nearest(str(kind), STEPS)}",
                param=f"steps[{number - 1}].type",
            )
        settings = Settings(number, kind, step)
        if kind == "split":
            self._allow_split(settings)
        work = STEPS[kind].make(settings, means)
        if settings.has("documents"):
            self.documents.append(step["documents"])
        self._steps.append(Step(kind, work, self._part_for(settings)))
        is_by_itself = _is_by_itself(STEPS[kind], settings)
        if len(self.leading) == number - 1 and is_by_itself:
            self.leading.append(dict(step))
        if len(self.searchable) == number - 1 and (is_by_itself or kind == drop_invalid.KIND.name):
            self.searchable.append(self._steps[-1])
        if kind == "split":
            self.parts = split.parts_of(settings)

    def _part_for(self, settings: Settings) -> str | None:
        """Return the part that a step is for; noise is only ever for what is trained on."""
        part = settings.part(self.parts)
        if settings.kind != "augment" or not self.parts:
            return part
        if part not in (None, split.TRAIN):
            raise InvalidRequestError(
                f"{settings.place}: only is {part!r}, and noise in what is measured on makes the measure one of the noise. "
                f"Leave it out: behind a split, augment works on {split.TRAIN} alone.",
                param=settings.param("only"),
            )
        return split.TRAIN

    def _allow_split(self, settings: Settings) -> None:
        if self.parts:
            raise InvalidRequestError(
                f"{settings.place}: a step before it has split the data set already. Give all shares there.",
                param=settings.param("type"),
            )
        if any(step.type == "augment" for step in self._steps):
            raise InvalidRequestError(
                f"{settings.place} stands behind augment, so that noisy copies of training records would be among those "
                "of validation. Put augment behind it, where it works on train alone.",
                param=settings.param("type"),
            )

    def run(self, found: Iterable[Record | Problem], name: str) -> Iterator[Row]:
        """Take records through all steps; ``tallies`` says what each did, and is complete when all rows have come.

        Args:
            found: What was read.
            name: The data set's, for messages.

        Raises:
            DataError: While going through: something cannot be read, or a record does not fit a step.
        """
        self.begin()
        return self.follow(self.lead(found, name))

    def begin(self) -> None:
        """Count from nought."""
        self.tallies = [Tally(step.type) for step in self._steps]
        self.spent.clear()

    def lead(self, found: Iterable[Record | Problem], name: str) -> Iterator[Row]:
        """Take records, all or some of them in their order, through the leading steps; errors as of ``run``."""
        rows: Iterator[Row] = (Row(record) for record in required(self._readable(found), name))
        for step, tally in zip(self._steps[: len(self.leading)], self.tallies, strict=False):
            rows = _run(step, tally, rows)
        return rows

    def _readable(self, found: Iterable[Record | Problem]) -> Iterable[Record | Problem]:
        return drop_invalid.readable(found, self.tallies[0]) if self.drops_unreadable else found

    @property
    def drops_unreadable(self) -> bool:
        """Whether lines that cannot be read are left out, as far as they can be."""
        return bool(self._steps) and self._steps[0].type == drop_invalid.KIND.name

    def follow(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Take what comes from the leading steps, all of it, through the others."""
        first = len(self.leading)
        for step, tally in zip(self._steps[first:], self.tallies[first:], strict=True):
            rows = _run(step, tally, rows)
        return rows

    @property
    def leads_heavily(self) -> bool:
        """Whether a leading step is heavy."""
        return any(STEPS[step.type].is_heavy for step in self._steps[: len(self.leading)])

    @property
    def leads_through(self) -> bool:
        """Whether all steps are leading ones."""
        return len(self.leading) == len(self._steps)


def _listed(steps: Any) -> Sequence[Any]:
    if isinstance(steps, Mapping):
        unknown = next((key for key in steps if key != "steps"), None)
        if unknown is not None:
            raise UnknownFieldError(
                f"A pipeline has no {shortened(unknown)}; it has: steps.{nearest(str(unknown), ['steps'])}",
                param=str(unknown),
            )
        steps = steps.get("steps")
    if not isinstance(steps, Sequence) or isinstance(steps, str | bytes):
        raise InvalidRequestError(
            f"The steps are {shortened(steps)}; they must be a list of objects, such as "
            '[{"type": "filter", "condition": "length > 10"}].',
            param="steps",
        )
    if len(steps) > MOST_STEPS:
        raise InvalidRequestError(f"There are {len(steps)} steps; at most {MOST_STEPS} are taken.", param="steps")
    return steps


def required(found: Iterable[Record | Problem], name: str) -> Iterator[Record]:
    """Yield what was read, with values as JSON has them.

    Raises:
        DataError: Something cannot be read.
    """
    for record in found:
        if isinstance(record, Problem):
            raise DataError(f"{name}: {record.message}", problems=[record.message])
        yield with_plain_values(record)


def _is_by_itself(kind: StepKind, settings: Settings) -> bool:
    """Tell whether a step looks at each row and nothing else: it can be made of its settings alone."""
    if not kind.is_by_row:
        return False
    try:
        kind.make(settings, Means())
    except InvalidRequestError:  # it counts tokens
        return False
    return True


def _run(step: Step, tally: Tally, rows: Iterator[Row]) -> Iterator[Row]:
    """Let a step work on its rows; those of other parts come after them."""
    if step.only is None:
        yield from _counted(step, tally, rows)
        return
    with Spool() as others:

        def own() -> Iterator[Row]:
            for row in rows:
                if row.part == step.only:
                    yield row
                else:
                    others.add(row)

        yield from _counted(step, tally, own())
        yield from others


def _counted(step: Step, tally: Tally, rows: Iterator[Row]) -> Iterator[Row]:
    def coming() -> Iterator[Row]:
        for row in rows:
            tally.rows_in += 1
            yield row

    for row in step.work(coming(), tally):
        tally.rows_out += 1
        yield row
