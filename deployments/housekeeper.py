"""Housekeeping beside the supervisor: ledger and Prefect brought together every two seconds."""

from __future__ import annotations

import logging
import threading

from afinador.errors import AfinadorError
from afinador.settings import Settings
from registry import base_model_uploads, certificate_runs, dataset_updates, runs, submissions
from registry.memory import Memory

ROUND_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Housekeeper:
    """A thread that settles and submits; what goes wrong in a round is logged, and the next round comes.

    Args:
        settings: Where ledger and Prefect are.
        since: When the supervisor has started, in Unix seconds (see ``registry.settling.settle``).
    """

    def __init__(self, settings: Settings, *, since: float) -> None:
        self.memory = Memory.open(settings)
        self._since = since
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._last_fault = ""

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
        try:
            runs.settle(self.memory, since=self._since)
            runs.submit_waiting(self.memory)
            submissions.settle(self.memory, since=self._since)
            certificate_runs.settle(self.memory, since=self._since)
            certificate_runs.submit_waiting(self.memory)
            dataset_updates.send(self.memory)
            base_model_uploads.end_abandoned(self.memory)
            self._last_fault = ""
        except AfinadorError as error:
            if error.message != self._last_fault:
                logger.warning("%s", error.message)
            self._last_fault = error.message
        except Exception:
            logger.exception("A round of housekeeping failed; the next one comes in %.0f s", ROUND_SECONDS)
