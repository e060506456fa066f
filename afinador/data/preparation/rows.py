"""What goes through a pipeline: a record and the part of the data set that it belongs to; and what a step is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from afinador.data.checks.findings import PROBLEMS_KEPT_PER_CODE
from afinador.data.preparation.settings import Settings
from afinador.data.records import Problem, Record
from afinador.data.shapes import Example


@dataclass(frozen=True)
class Row:
    """A record on its way.

    Attributes:
        part: ``train``, ``validation`` or ``test`` once a step has split the data set.
    """

    record: Record
    part: str | None = None


@dataclass
class Tally:
    """What one step has done so far.

    Attributes:
        type: The step's.
        rows_in: Rows that came, those of other parts than its own not counted.
        rows_out: Rows that went on.
        changed: Of these, those that are not as they came.
        parts: Of a split: rows of each part.
        counts: Of a deduplication the ``exact`` and ``near`` repetitions that went; of ``tokenize`` the ``tokens``, and
            how many rows were ``cut``; of ``split`` the rows that were ``kept_together`` with others; of ``transform`` the rows that are changed in each field; of ``raft`` those
            ``without_oracle``; of
            ``convert`` as ``FIELD_otherwise`` the rows whose field, brought back, would be written otherwise; of
            ``drop_invalid`` those that were left out, by fault.
        dropped: Of ``drop_invalid`` the first ten of each fault.
    """

    type: str
    rows_in: int = 0
    rows_out: int = 0
    changed: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def drop(self, problem: Problem) -> None:
        """Count a row that is left out, and keep what is wrong with it if there are few of its code."""
        self.counts[problem.code] = self.counts.get(problem.code, 0) + 1
        if self.counts[problem.code] <= PROBLEMS_KEPT_PER_CODE:
            self.dropped.append(problem.to_json())

    def add(self, other: Tally) -> None:
        """Count in what the step did with further rows elsewhere."""
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.changed += other.changed
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


def reported(tallies: Iterable[Tally]) -> list[dict[str, Any]]:
    """Return what steps did as plain JSON values; ``parts``, ``counts`` and ``dropped`` only of the steps that have them."""
    return [
        {name: value for name, value in asdict(tally).items() if value or name not in ("parts", "counts", "dropped")}
        for tally in tallies
    ]


Tokenise = Callable[[Sequence[Example], str | None, int], list[list[dict[str, Any]]]]


@dataclass(frozen=True)
class Means:
    """What steps need beside the records.

    Attributes:
        count_tokens: Tokens of texts together by the tokenizer of a base model, None where none is named.
        tokenise: Rows of each of some examples, for a task (None: the base model's own) and at most so many tokens, see
            ``afinador.data.tokens.rows``; None where no base model is named.
        read_documents: Reads another data set by its name; None where there is no other.
        spent: Seconds that regular expressions took in this run, by the step that has them; each step adds its own.
    """

    count_tokens: Callable[[Sequence[str]], int] | None = None
    tokenise: Tokenise | None = None
    read_documents: Callable[[str], Iterable[Record]] | None = None
    spent: dict[str, float] = field(default_factory=dict)


Work = Callable[[Iterator[Row], Tally], Iterator[Row]]
"""One step at work: takes rows, counts what it changes, gives rows."""


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    Attributes:
        name: Its ``type``.
        keys: What it takes, each with what it means.
        description: One sentence.
        make: Reads the settings of one step, at once, and gives what does the work.
        is_by_row: Whether it looks at each row by itself, so that rows may be shared among processes.
        is_heavy: Whether it takes longer than to hand a row to another process and back.
    """

    name: str
    description: str
    keys: Mapping[str, str]
    make: Callable[[Settings, Means], Work]
    is_by_row: bool = False
    is_heavy: bool = True


def with_fields(row: Row, fields: dict[str, Any]) -> Row:
    """Return a row with other fields."""
    record = row.record
    return Row(Record(record.line, fields, record.unit, record.origin), row.part)
