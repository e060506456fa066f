"""Housekeeping beside the supervisor: ledger and Prefect brought together every two seconds."""

from __future__ import annotations

import logging
import threading

from afinador.errors import AfinadorError
from afinador.settings import Settings
from registry.memory import Memory
from registry.prefect_runs import housekeeping, runs

ROUND_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Housekeeper:
    """A thread that settles and submits; what goes wrong in a part of a round is logged, and the next part comes.

    Args:
        settings: Where ledger and Prefect are.
        since: When the supervisor has started, in Unix seconds (see ``registry.prefect_runs.settling.settle``).
    """

    def __init__(self, settings: Settings, *, since: float) -> None:
        self.memory = Memory.open(settings)
        self._since = since
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._last_faults: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round under way, at most some seconds later."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._do_round()
            self._stopping.wait(ROUND_SECONDS)

    def _do_round(self) -> None:
        faults = []
        for _, part in housekeeping.parts(self.memory, since=self._since):
            try:
                part()
            except AfinadorError as error:
                faults.append(error.message)
                if not self._prefect_answers():  # or each part would wait for it in turn
                    break
            except Exception:
                logger.exception("A part of housekeeping failed; the next round comes in %.0f s", ROUND_SECONDS)
        for fault in faults:
            if fault not in self._last_faults:
                logger.warning("%s", fault)
        self._last_faults = faults

    def _prefect_answers(self) -> bool:
        return bool(runs.health(self.memory.settings)["prefect"]["status"] == "ok")
