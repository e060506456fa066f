"""One round of housekeeping, part by part: ledger and Prefect brought together, and what waits submitted."""

from __future__ import annotations

from collections.abc import Callable

from registry.data_sets import dataset_updates
from registry.memory import Memory
from registry.models import base_model_uploads
from registry.prefect_runs import certificate_runs, preparation_runs, runs, submissions, work_queues

Part = tuple[str, Callable[[], int | None]]


def parts(memory: Memory, *, since: float | None = None) -> list[Part]:
    """Return the parts of a round in their order, each with what its number says, if it gives one.

    Each raises ``ServiceUnavailableError`` while Prefect is away.

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started, in Unix seconds (see ``registry.prefect_runs.settling.settle``).
    """
    return [
        ("jobs settled", lambda: runs.settle(memory, since=since)),
        ("new versions of files announced", lambda: dataset_updates.send(memory)),
        ("starts by Prefect settled", lambda: submissions.settle(memory, since=since)),
        ("waiting jobs submitted", lambda: runs.submit_waiting(memory)),
        ("limits of work queues applied", lambda: work_queues.apply(memory)),
        ("proofs settled", lambda: certificate_runs.settle(memory, since=since)),
        ("proofs submitted", lambda: certificate_runs.submit_waiting(memory)),
        ("preparations settled", lambda: preparation_runs.settle(memory, since=since)),
        ("preparations submitted", lambda: preparation_runs.submit_waiting(memory)),
        ("abandoned uploads ended", lambda: base_model_uploads.end_abandoned(memory)),
    ]
