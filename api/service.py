"""What all handlers share, handed to them by FastAPI's dependencies."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from afinador.data.tokens.process import TokenProcess
from afinador.errors import StorageError
from afinador.settings import Settings
from api.background import Background, Deferred
from api.health import Health
from registry import jobs
from registry.data_sets import dataset_updates, files
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.models import base_models
from registry.prefect_runs import certificate_runs, preparation_runs, work_queues
from registry.tracking.experiments import Experiments

logger = logging.getLogger(__name__)

MLFLOW_AFTER_SECONDS = 30.0
"""Importing MLflow costs seconds of a processor, which the start of the other parts needs more."""
RECHECK_SECONDS = 30.0
"""After this time a file is checked that could not be read from the storage."""


class Runs(Protocol):
    """Prefect, as ``registry.prefect_runs.runs`` offers it: nothing is raised while it is away."""

    def submit(self, memory: Memory, job_id: str) -> bool:
        """Give a queued job to Prefect."""

    def submit_waiting(self, memory: Memory) -> int:
        """Give all queued jobs that have no run yet to Prefect."""

    def follow_up(self, memory: Memory, job: Job) -> None:
        """Cancel, suspend or resume the run of a job that waits."""

    def health(self, settings: Settings) -> dict[str, Any]:
        """Ask how Prefect and its workers are."""


@dataclass
class Service:
    """The running service.

    Attributes:
        experiments: MLflow, which takes seconds to import.
        runs: Prefect; the functions of ``registry.prefect_runs.runs``, or a double that obeys them.
        tokens: The process that knows tokenizers; it is started when first asked.
        stopping: Set when the process goes down, so that answers without end do end.
    """

    memory: Memory
    health: Health
    experiments: Deferred[Experiments]
    runs: Runs
    background: Background = field(default_factory=Background)
    tokens: TokenProcess = field(default_factory=TokenProcess)
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Take up what an earlier process left: unchecked files, unfetched models, unsubmitted jobs."""
        self.health.start()
        self.experiments.start(MLFLOW_AFTER_SECONDS)
        with self.memory.database.reading() as session:
            unchecked = files.unchecked(session)
            incomplete = base_models.incomplete(session)
        for file_id in unchecked:
            self.check_file(file_id)
        for model_id in incomplete:
            self.fetch_model(model_id)
        self.background.run("submit", self.runs.submit_waiting, self.memory)

    def stop(self) -> None:
        """End what has no end of its own."""
        self.stopping.set()
        self.health.stop()
        self.tokens.close()

    def check_file(self, file_id: str) -> None:
        """Check an uploaded file in the background; jobs that waited for its verdict are then submitted."""
        self.background.run("check", self._check_and_submit, file_id)

    def fetch_model(self, model_id: str) -> None:
        """Fetch and hash a base model's files in the background."""
        self.background.run("fetch", base_models.complete, self.memory, model_id)

    def submit(self, job_id: str) -> None:
        """Give a job to Prefect in the background."""
        self.background.run("submit", self.runs.submit, self.memory, job_id)

    def submit_certificates(self) -> None:
        """Give certificates that were asked for to Prefect, in the background."""
        self.background.run("submit", certificate_runs.submit_waiting, self.memory)

    def submit_preparations(self) -> None:
        """Give preparations that were asked for to Prefect, in the background."""
        self.background.run("submit", preparation_runs.submit_waiting, self.memory)

    def apply_queues(self) -> None:
        """Write limits and priorities of organisations into Prefect, in the background; housekeeping tries again."""
        self.background.run("submit", work_queues.apply, self.memory)

    def tell_prefect(self) -> None:
        """Tell Prefect of new versions of files, in the background; while it is away, housekeeping tries again."""
        self.background.run("submit", dataset_updates.send, self.memory)

    def follow_up(self, job: Job) -> None:
        """Tell Prefect that a job was cancelled, paused or resumed, in the background."""
        self.background.run("submit", self.runs.follow_up, self.memory, job)

    def _check_and_submit(self, file_id: str) -> None:
        try:
            files.check(self.memory, file_id)
        except StorageError as error:
            logger.warning("File %s is checked later: %s", file_id, error.message)
            self.background.run_later(RECHECK_SECONDS, "check", self._check_and_submit, file_id)
            return
        with self.memory.database.reading() as session:
            waiting = jobs.waiting_with_file(session, file_id)
        for job_id in waiting:
            self.submit(job_id)


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service_of)]
