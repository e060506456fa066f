"""Makes a data set ready: takes its records through declared steps. Text and arithmetic alone, no torch.

::

    steps:
      - {type: filter, condition: "length > 10 and language == 'es'"}
      - {type: deduplicate}
      - {type: split, validation: 0.1, stratify: label}

Each kind of step is a file of its own; ``STEPS`` is the table of them, of which docs/preparation.md is made. A step may
have ``only: train`` behind a split. The texts of a record are those that ``texts`` finds. Records go through one at a time; what a step has
to put aside (a shuffle, a split) lies in a temporary file. Of a large file several processes take the first steps, see
``passage``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from afinador.data.preparation.lineage import Prepared, Written
from afinador.data.preparation.passage import Progress
from afinador.data.preparation.pipeline import STEPS, Pipeline
from afinador.data.preparation.rows import Means, StepKind, Tally, reported
from afinador.data.preparation.running import (
    lines_to_read,
    prepare_file,
    run_to_file,
)
from afinador.data.preparation.sources import Source
from afinador.data.preparation.targets import format_of_name, prepared_name, require_free, targets_of
from afinador.data.records import Problem, Record

__all__ = [
    "STEPS",
    "Means",
    "Pipeline",
    "Prepared",
    "Progress",
    "Source",
    "StepKind",
    "Tally",
    "Written",
    "format_of_name",
    "lines_to_read",
    "prepare",
    "prepare_file",
    "prepared_name",
    "reported",
    "require_free",
    "run_to_file",
    "targets_of",
]


def prepare(
    found: Iterable[Record | Problem], name: str, steps: Sequence[Mapping[str, Any]], means: Means | None = None
) -> Iterator[Record]:
    """Take records through steps, one record at a time.

    Args:
        found: What was read.
        name: The data set's, for messages.
        steps: As people write them: ``{"type": "filter", "condition": "length > 10"}``; they are read at once.
        means: What steps need beside the records.

    Raises:
        InvalidRequestError: A step is unknown or has a bad value; names step, key, value and what is allowed.
        DataError: While going through: something cannot be read, or a record does not fit a step.
    """
    return (row.record for row in Pipeline(steps, means).run(found, name))
