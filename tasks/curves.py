"""The curves of a run on their way into MLflow, by a thread of their own: training and ledger never wait for MLflow."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from afinador.errors import AfinadorError
from registry import jobs
from registry.tracking.experiments import Experiments
from tasks.artifacts import DATA_PAGE
from tasks.attempt import Attempt

logger = logging.getLogger(__name__)

RETRY_SECONDS = 3.0
FLUSH_SECONDS = 2.0
UNHAPPY_TIMEOUT_SECONDS = 10.0


class Curves:
    """Opens the job's MLflow run and logs what is handed over, in batches, again after failures.

    The import of MLflow takes seconds; it happens here, while the model is loaded.

    Attributes:
        last: The newest value of each metric.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.last: dict[str, Any] = {}
        self._rows: queue.Queue[dict[str, Any]] = queue.Queue()
        # An earlier attempt may have died before its last rows reached MLflow; those that are there change nothing.
        self.add(attempt.run.metrics_after(0)[0])
        self._waiting: list[dict[str, Any]] = []
        self._closing = threading.Event()
        self._experiments: Experiments | None = None
        self._run_id: str | None = None
        self._resources_cursor = 0
        self._thread = threading.Thread(target=self._log_all, name="curves", daemon=True)
        self._thread.start()
        attempt.on_unhappy_end.append(self.end)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Hand rows of ``metrics.jsonl`` over; returns at once."""
        for row in rows:
            self.last |= row
            self._rows.put(row)

    def close(self, timeout_seconds: float) -> tuple[Experiments, str] | None:
        """Log what is left and stop.

        Returns:
            The gateway and the id of the MLflow run, or None when MLflow was away all the time.
        """
        self._closing.set()
        self._thread.join(timeout_seconds)
        return self.opened

    @property
    def opened(self) -> tuple[Experiments, str] | None:
        """The gateway and the id of the MLflow run, once that is open."""
        if self._experiments is None or self._run_id is None:
            return None
        return self._experiments, self._run_id

    def end(self, status: str | None) -> None:
        """Close the MLflow run as ``FAILED`` or ``KILLED``, if MLflow answers; None leaves it to another attempt."""
        if status is None:
            self._closing.set()
            return
        opened = self.close(UNHAPPY_TIMEOUT_SECONDS)
        if opened is not None:
            experiments, run_id = opened
            experiments.finish(self.attempt.spec.organization, run_id, status)

    def _log_all(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the flush, so that the last rows are in it
            done = self._attempted(self._flush)
            if done and closing:
                return
            if done:
                self._closing.wait(FLUSH_SECONDS)
            else:
                time.sleep(RETRY_SECONDS)

    def _attempted(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except AfinadorError as error:
            self.attempt.say(
                f"MLflow does not answer ({error.message}); the curves are kept and sent again.",
                level="warn",
                key=f"mlflow-away:{self.attempt.number}",
            )
            return False
        return True

    def _flush(self) -> None:
        if self._run_id is None:
            self._open()
        while not self._rows.empty():
            self._waiting.append(self._rows.get_nowait())
        resources, cursor = self.attempt.run.resources_after(self._resources_cursor)
        assert self._experiments is not None and self._run_id is not None
        if self._waiting:
            self._experiments.log_metrics(self.attempt.spec.organization, self._run_id, self._waiting)
            self._waiting = []
        if resources:
            self._experiments.log_resources(self.attempt.spec.organization, self._run_id, resources)
            self._resources_cursor = cursor

    def _open(self) -> None:
        self._experiments = self._experiments or Experiments(self.attempt.memory.settings)
        job = self.attempt.job()
        tags = {
            "attempt": str(self.attempt.number),
            "prefect_url": job.flow_run_url or "",
            "report": f"afinador report {job.id}",  # the API's address would need a key, which a browser has not
        }
        if job.job_spec:
            tags["job_spec"] = job.job_spec
        self._run_id = self._experiments.start_run(self.attempt.spec, job.mlflow_run_id, tags=tags)
        data = self.attempt.run.path / DATA_PAGE
        if data.is_file():
            self._experiments.log_report(self.attempt.spec.organization, self._run_id, data)
        with self.attempt.memory.database.session() as session:
            jobs.set_fields(session, self.attempt.job_id, self.attempt.number, mlflow_run_id=self._run_id)
