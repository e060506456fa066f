"""All that keeps a data set from being prepared, once its first fault has been met.

The data set is read once more, and each record taken through the first steps by itself, past ``drop_invalid`` too. What later
steps would refuse is not looked for: what comes to them depends on the records before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from afinador.data.checks.findings import Problems, firsts, with_count
from afinador.data.files.plain_values import with_plain_values
from afinador.data.preparation.drop_invalid import KIND as DROP_INVALID
from afinador.data.preparation.drop_invalid import can_be_left_out
from afinador.data.preparation.pipeline import Pipeline, Step
from afinador.data.preparation.rows import Row, Tally, reported
from afinador.data.preparation.sources import Source
from afinador.data.records import Problem
from afinador.errors import DataError
from afinador.figures import counted

SECONDS = 60.0
"""Longer nobody is kept waiting for faults behind the first one: a record may take a regular expression a second."""
KINDS_TOLD = 3
OF_STEP = "step_"
"""What the codes of faults begin with that a step found, and not the reader."""


@dataclass
class _Search:
    """What is found while a data set is gone through once more.

    Attributes:
        bad: Records with a fault.
        records: Records that were read.
        has_ended: Whether these are all.
        refused_unusable: The first step to which records came that their own shape refuses.
    """

    problems: Problems = field(default_factory=Problems)
    bad: int = 0
    records: int = 0
    has_ended: bool = True
    refused_unusable: int | None = None

    def read(self, source: Source, pipeline: Pipeline, watch: Callable[[], None] | None) -> Iterator[Row]:
        """Yield what can be read, as long as there is time, and tell what cannot."""
        ends_at = time.monotonic() + SECONDS
        for found in source:
            if watch is not None:
                watch()
            if time.monotonic() > ends_at:
                self.has_ended = False
                return
            if not isinstance(found, Problem):
                self.records += 1
                yield Row(with_plain_values(found))
                continue
            self.records += found.stands_for_a_record
            if not (pipeline.drops_unreadable and can_be_left_out(found)):
                self.bad += found.stands_for_a_record
                self.problems.add(found)

    def through(self, number: int, step: Step, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield what comes of each row in a step, and tell which it refuses."""
        if step.type == DROP_INVALID.name:  # which goes by the rows of a batch
            yield from step.work(rows, Tally(step.type))
            return
        for row in rows:
            try:
                made = list(step.work(iter((row,)), Tally(step.type)))
            except DataError as error:
                self.bad += 1
                code = f"{OF_STEP}{number}_{step.type}" + (f":{error.fault}" if error.fault else "")
                self.problems.add(Problem(code, error.message, row.record.line))
                if error.is_unusable:
                    self.refused_unusable = min(number, self.refused_unusable or number)
            else:
                yield from made


def require_faultless(source: Source, name: str, pipeline: Pipeline, watch: Callable[[], None] | None) -> None:
    """Look for all faults of a data set that was refused for one; do nothing if there are no others.

    Args:
        source: The data set.
        name: Its name, for messages.
        pipeline: The steps that have refused it.
        watch: Is called with every record.

    Raises:
        DataError: There are several; ``problems`` has the first ten of each kind.
    """
    search = _searched(source, pipeline, watch)
    problems = search.problems
    if sum(problems.counts.values()) < 2:
        return
    kept = sorted(problems.kept, key=lambda problem: problem.line or 0)
    among = f"{'' if search.has_ended else 'the first '}{counted(search.records, 'record')}"
    said = [f"{name}: {search.bad:,} of {among} cannot be prepared:", *_kinds_of(kept, problems.counts)]
    if search.refused_unusable or any(not problem.code.startswith(OF_STEP) for problem in kept):
        said.append(_page_of(name))
    if any(map(can_be_left_out, kept)) or search.refused_unusable == 1:
        said.append(f"A first step {{type: {DROP_INVALID.name}}} leaves out what cannot be used, and counts it.")
    elif search.refused_unusable and all(step.type != DROP_INVALID.name for step in pipeline.searchable):
        before = f"A step {{type: {DROP_INVALID.name}}} before step {search.refused_unusable}"
        said.append(f"{before} leaves out what cannot be used, and counts it.")
    raise DataError(" ".join(said), problems=[problem.message for problem in kept])


def nothing_left_of(target: str, name: str, tallies: Iterable[Tally]) -> DataError:
    """Return what is said where no record is left: the step that let none through, and what each one did.

    Args:
        target: The file that would be empty.
        name: The data set's, for messages.
        tallies: What each step did.

    Returns:
        An error whose ``problems`` has the first ten of each kind where records were left out for their faults.
    """
    tallies = list(tallies)
    steps = reported(tallies)
    emptying = [
        (number, tally) for number, tally in enumerate(tallies, start=1) if tally.rows_in and not tally.rows_out
    ]
    if not emptying:
        return DataError(f"{name}: No record is left for {target}: there were none. Check the data set.", steps=steps)
    number, tally = emptying[-1]
    said = f"{name}: No record is left for {target}: step {number} ({tally.type}) has left out all that came to it, {counted(tally.rows_in, 'record')}."
    if not tally.dropped:
        return DataError(f"{said} Loosen it, or check the data set.", steps=steps)
    faults = [Problem.from_json(fault) for fault in tally.dropped]
    told = " ".join([said, *_kinds_of(faults, tally.counts), _page_of(name)])
    return DataError(told, problems=[fault.message for fault in faults], steps=steps)


def _searched(source: Source, pipeline: Pipeline, watch: Callable[[], None] | None) -> _Search:
    search = _Search()
    pipeline.begin()
    rows = search.read(source, pipeline, watch)
    for number, step in enumerate(pipeline.searchable, start=1):
        rows = search.through(number, step, rows)
    try:
        for _ in rows:
            pass
    except DataError as error:  # which no record behind it can come past
        search.has_ended = False
        search.problems.add(Problem(error.code, error.message))
    return search


def _kinds_of(faults: list[Problem], counts: dict[str, int]) -> Iterator[str]:
    """Yield sentences on the first kinds of faults."""
    kinds = firsts(faults)
    yield from (with_count(kind, counts) for kind in kinds[:KINDS_TOLD])
    if len(kinds) > KINDS_TOLD:
        yield f"And {counted(len(kinds) - KINDS_TOLD, 'other kind')} of fault."


def _page_of(name: str) -> str:
    """Say where to see all faults that the data have by themselves: of what steps ask of them the page says nothing."""
    return f"`afinador validate dataset {name} --html report.html` shows what is wrong with the data as a page."
