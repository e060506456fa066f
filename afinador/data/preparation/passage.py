"""The way of a data set through a pipeline, by one process or, of large files, by several.

Several share the leading steps, and where nothing but writing follows, the making of lines. What one of them cannot
bring to its end is taken through the same steps here, record by record and in its turn: so the rows, what is told of
the steps, and the first error are the same, however many they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Literal, TypeVar

from afinador.data.files.lines import parts_of
from afinador.data.preparation import patterns
from afinador.data.preparation.leading import Leading, Outcome
from afinador.data.preparation.pipeline import Pipeline
from afinador.data.preparation.rows import Row
from afinador.data.preparation.sources import AnyPart, Source, batches_of, line_of, records_of_part, unpacked
from afinador.data.processes import in_order, processors
from afinador.data.records import Problem, Record

BYTES_WORTH_A_START = 16 * 2**20
"""A process needs half a second until it can begin; in that time one alone prepares some megabytes."""
PART_BYTES = 2**18
BATCH_BYTES = 2**16
"""So much can be sent to a process that does not listen yet."""
TOLD_EVERY = 100

Item = TypeVar("Item")
Progress = Callable[[Literal["reading", "writing"], int], None]
"""Is told on which line or record reading is, or how many rows have come through all steps."""


def processes_for(source: Source, pipeline: Pipeline) -> int:
    """Return how many processes are worth their start for a data set; 1 means none but this one."""
    is_large = source.path.is_file() and source.path.stat().st_size >= BYTES_WORTH_A_START
    # What has no lines is read here and handed over.
    return processors() if is_large and (pipeline.leads_heavily or source.has_lines()) else 1


class Passage:
    """Takes a data set through a pipeline, once; a context manager, after which no other process is at work.

    Args:
        found: What was read of the data set.
        name: The data set's, for messages.
        pipeline: The steps.
        processes: How many take the leading steps, 1 for this one alone; by default as many as are worth their start.
            What is no ``Source``, or a custom one, is taken by this one.
        progress: Is told, now and then, how far it is.
        watch: Is called with every record or part, and about once a second while there is none.

    Attributes:
        read: Records that were read so far.
    """

    def __init__(
        self,
        found: Iterable[Record | Problem],
        name: str,
        pipeline: Pipeline,
        processes: int | None = None,
        *,
        progress: Progress | None = None,
        watch: Callable[[], None] | None = None,
    ) -> None:
        self._found, self._name, self._pipeline, self._processes = found, name, pipeline, processes
        self._progress, self._watch = progress, watch
        self._stack = ExitStack()
        self.read = 0
        pipeline.begin()

    def __enter__(self) -> Passage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def rows(self) -> Iterator[Row]:
        """Yield what comes through all steps; errors as of ``Pipeline.run``."""
        led = self._led(makes_lines=False)
        rows = (Row(unpacked(each)) if isinstance(each, bytes) else each for each in led)
        return self._told(self._pipeline.follow(rows))

    def lines(self) -> Iterator[Record | bytes]:
        """Yield what comes through all steps for ``write_lines``; errors as of ``Pipeline.run``."""
        if not self._pipeline.leads_through:
            return (row.record for row in self.rows())
        led = self._told(self._led(makes_lines=True))
        return (each if isinstance(each, bytes) else each.record for each in led)

    def _led(self, *, makes_lines: bool) -> Iterator[Row | bytes]:
        source = self._found
        # A loader may yield values that no other process knows.
        if isinstance(source, Source) and source.format != "custom" and self._pipeline.leading:
            processes = self._processes or processes_for(source, self._pipeline)
            if processes > 1:
                return self._shared(source, processes, makes_lines)
        return self._pipeline.lead(self._counted(source), self._name)

    def _shared(self, source: Source, processes: int, makes_lines: bool) -> Iterator[Row | bytes]:
        leading = Leading(source.path, self._name, self._pipeline.leading, makes_lines)
        has_lines = source.has_lines()
        parts: Iterator[AnyPart] = (
            parts_of(source.path, PART_BYTES) if has_lines else batches_of(self._watched(source), BATCH_BYTES)
        )
        outcomes = in_order(leading, parts, processes, ahead=2 if has_lines else 1, waiting=self._watch)
        for part, outcome in self._watched(self._stack.enter_context(closing(outcomes))):
            made = self._accepted(outcome)
            if made is None:
                found = self._counted(records_of_part(source.path, part))
                yield from self._pipeline.lead(found, self._name)
            else:
                self._tell("reading", line_of(part))
                yield from made

    def _accepted(self, outcome: Outcome) -> list[bytes] | None:
        """Count in what was done elsewhere, and return it; None if it was not done, or may not have taken so long."""
        is_in_time = True
        for place, seconds in outcome.spent.items():
            self._pipeline.spent[place] = self._pipeline.spent.get(place, 0.0) + seconds
            is_in_time &= self._pipeline.spent[place] <= patterns.SECONDS_PER_STEP
        if outcome.made is None or not is_in_time:
            return None
        for tally, part_of_it in zip(self._pipeline.tallies, outcome.tallies, strict=False):
            tally.add(part_of_it)
        self.read += outcome.read
        return outcome.made

    def _counted(self, found: Iterable[Record | Problem]) -> Iterator[Record | Problem]:
        for record in self._watched(found):
            self.read += 1
            if self.read % TOLD_EVERY == 0:
                self._tell("reading", record.line or self.read)
            yield record

    def _watched(self, coming: Iterable[Item]) -> Iterator[Item]:
        for each in coming:
            if self._watch is not None:
                self._watch()
            yield each

    def _told(self, rows: Iterator[Item]) -> Iterator[Item]:
        for number, row in enumerate(rows, start=1):
            if number % TOLD_EVERY == 0:
                self._tell("writing", number)
            yield row

    def _tell(self, stage: Literal["reading", "writing"], done: int) -> None:
        if self._progress is not None:
            self._progress(stage, done)
