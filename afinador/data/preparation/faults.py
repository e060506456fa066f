"""All that keeps a data set from being prepared, once its first fault has been met.

The data set is read once more, and each record taken through the leading steps by itself. What later steps would refuse is
not looked for: what comes to them depends on the records before.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from afinador.data.checks.findings import Problems, firsts, with_count
from afinador.data.preparation.drop_invalid import KIND as DROP_INVALID
from afinador.data.preparation.drop_invalid import can_be_left_out
from afinador.data.preparation.pipeline import Pipeline
from afinador.data.preparation.sources import Source
from afinador.data.records import Problem
from afinador.errors import DataError
from afinador.figures import counted

SECONDS = 60.0
"""Longer nobody is kept waiting for faults behind the first one: a record may take a regular expression a second."""
KINDS_TOLD = 3


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
    problems, bad, records, has_ended = _faults_of(source, pipeline, watch)
    if sum(problems.counts.values()) < 2:
        return
    kinds = sorted(firsts(problems.kept), key=lambda problem: problem.line or 0)
    said = [f"{name}: {bad:,} of {'' if has_ended else 'the first '}{counted(records, 'record')} cannot be prepared:"]
    said += [with_count(kind, problems.counts) for kind in kinds[:KINDS_TOLD]]
    if len(kinds) > KINDS_TOLD:
        said.append(f"And {counted(len(kinds) - KINDS_TOLD, 'other kind')} of fault.")
    said.append(f"`afinador validate dataset {name} --html report.html` shows what is wrong with the data as a page.")
    if any(map(can_be_left_out, problems.kept)):
        said.append(f"A first step {{type: {DROP_INVALID.name}}} leaves out what cannot be used, and counts it.")
    raise DataError(" ".join(said), problems=[problem.message for problem in problems.kept])


def _faults_of(source: Source, pipeline: Pipeline, watch: Callable[[], None] | None) -> tuple[Problems, int, int, bool]:
    """Return the faults, of how many records among how many, and whether these are all."""
    problems, bad, records = Problems(), 0, 0
    pipeline.begin()
    ends_at = time.monotonic() + SECONDS
    for found in source:
        if watch is not None:
            watch()
        if time.monotonic() > ends_at:
            return problems, bad, records, False
        is_record = not isinstance(found, Problem) or found.stands_for_a_record
        records += is_record
        if not isinstance(found, Problem):
            fault = pipeline.fault_of(found)
        else:
            fault = None if pipeline.drops_unreadable and can_be_left_out(found) else found
        if fault is not None:
            bad += is_record
            problems.add(fault)
    return problems, bad, records, True
