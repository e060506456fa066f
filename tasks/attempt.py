"""One execution of a job's flow: what every step needs at hand, and the thread that listens for requests."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from uuid import UUID

import httpx
import psutil
from sqlalchemy.exc import SQLAlchemyError

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError
from afinador.schemas.events import EventLevel
from afinador.settings import read_settings
from afinador.training.run_dir import REQUESTS, RunDir
from registry import jobs
from registry.job_life import events
from registry.ledger.tables import Job
from registry.memory import Memory

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 0.5
PATIENCE_SECONDS = 300.0
"""A job outlives its ledger's being locked or away for so long; training goes on meanwhile."""
PREFECT_STATE_EVERY = 4
HEARTBEAT_EVERY = 10


class StopRequestedError(AfinadorError):
    """Somebody asked this job to stop; ``request`` is ``cancel``, ``pause`` or ``hold``."""

    code = "stopped"

    def __init__(self, request: str) -> None:
        super().__init__(f"The job was asked to stop ({request}).")
        self.request = request


@dataclass
class Attempt:
    """A claimed job. Use as a context: while it is open, a side thread listens for requests.

    The thread reads the ledger and the state of the Prefect run by short plain calls, so that a blocked Prefect client
    delays no stop; it hands a request to training through ``control.json``. When the ledger shows a newer attempt, this
    process ends at once without a word to Prefect: the run belongs to the newer one.

    Attributes:
        number: Number of this attempt, from 1: the fence of every write to the ledger.
        flow_run_id: The Prefect run, or an empty string outside of Prefect.
        request: What somebody asked for: ``cancel``, ``pause`` or ``hold``; None as long as nobody did.
        on_unhappy_end: Called with ``FAILED`` or ``KILLED`` when the attempt does not succeed, with None when another
            attempt goes on at once.
        take_over: Forwards what the trainer has left behind, without Prefect; set by whoever follows it.
        kills_for_memory: How many processes the machine had ended for lack of memory when the trainer was started.
    """

    memory: Memory
    job_id: str
    number: int
    flow_run_id: str
    spec: FineTuningSpec
    run: RunDir
    pool: str = "cpu"
    request: str | None = None
    devices: list[str] = field(default_factory=list)
    on_unhappy_end: list[Callable[[str | None], None]] = field(default_factory=list)
    take_over: Callable[[], None] | None = None
    trainer: subprocess.Popen[bytes] | None = None
    kills_for_memory: int = 0
    losses_artifact_id: UUID | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Attempt:
        self.run.write_control(self.number, None)
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()

    def _listen(self) -> None:
        rounds = 0
        while not self._closed.wait(LISTEN_SECONDS):
            rounds += 1
            wanted = self._asked_in_ledger(beat=rounds % HEARTBEAT_EVERY == 1)
            if wanted is None and rounds % PREFECT_STATE_EVERY == 0:
                wanted = self.asked_in_prefect()
            if wanted == "resume":
                self._withdraw_pause()
            elif wanted is not None and wanted != self.request:
                self._pass_on(wanted)

    def _pass_on(self, wanted: str) -> None:
        try:
            self.run.write_control(self.number, wanted)
        except OSError:
            logger.warning("Training cannot be told; trying again.", exc_info=True)
            return
        self.request = wanted

    def _asked_in_ledger(self, *, beat: bool) -> str | None:
        try:
            if beat:
                with self.memory.database.session() as session:
                    jobs.heartbeat(session, self.job_id, self.number)
            with self.memory.database.reading() as session:
                seen = jobs.look(session, self.job_id)
        except (SQLAlchemyError, AfinadorError):
            logger.warning("The ledger does not answer; asking again.", exc_info=True)
            return None
        if seen is not None and seen.attempt == self.number:
            return seen.request_state
        if not self._closed.is_set():  # else it is this process itself that went on
            os._exit(0)
        return None

    def _withdraw_pause(self) -> None:
        """Run on when a pause was followed by a resume before training was told of it; else it stops and is resumed."""
        if self.request is not None:
            return
        try:
            with self.memory.database.session() as session:
                jobs.withdraw_pause(session, self.job_id, self.number)
        except (SQLAlchemyError, AfinadorError):
            logger.warning("The ledger does not answer; asking again.", exc_info=True)

    def asked_in_prefect(self) -> str | None:
        """Read the run's state: what a person did in the Prefect UI is a request too."""
        if not self.flow_run_id:
            return None
        settings = self.memory.settings
        secret = settings.prefect_api_auth_string
        user, _, password = (secret.get_secret_value() if secret else "").partition(":")
        try:
            answer = httpx.get(
                f"{settings.prefect_api_url}/flow_runs/{self.flow_run_id}",
                timeout=2,
                auth=(user, password) if user else None,
                # Reading the certificates takes longer than a call; plain HTTP needs none.
                verify=settings.prefect_api_url.startswith("https:"),
            )
            state = answer.raise_for_status().json()["state"]["type"]
        except (httpx.HTTPError, KeyError, TypeError, ValueError):
            return None
        return {"CANCELLING": "cancel", "CANCELLED": "cancel", "PAUSED": "pause"}.get(state)

    def job(self) -> Job:
        """Return the job's row as it is now."""
        with self.memory.database.reading() as session:
            return session.get_one(Job, self.job_id)

    def check(self) -> None:
        """Stop here if somebody asked to.

        Raises:
            StopRequestedError: There is a request.
        """
        if self.request is not None:
            raise StopRequestedError(self.request)

    def say(self, message: str, *, level: EventLevel = "info", key: str | None = None) -> None:
        """Append an event to the job and a line to the flow's log; ``key`` makes it appear once."""
        logger.log({"info": logging.INFO, "warn": logging.WARNING}.get(level, logging.ERROR), message)
        with self.memory.database.session() as session:
            told = {"attempt": self.number}
            events.append(session, self.job_id, message, level=level, data=told, dedup_key=key)

    def is_done(self, step: str) -> bool:
        """Tell whether a step was completed by this or an earlier attempt."""
        with self.memory.database.reading() as session:
            return jobs.is_done(session, self.job_id, step)

    def mark_done(self, step: str) -> None:
        """Remember that a step is complete."""
        with self.memory.database.session() as session:
            jobs.mark_done(session, self.job_id, self.number, step)

    def wait(self, seconds: float) -> None:
        """Wait a little, waking up early for a request.

        Raises:
            StopRequestedError: There is a request.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            time.sleep(min(0.2, seconds))


def claim(job_id: str, flow_run_id: str) -> Attempt | None:
    """Take a job: from here on this process alone may write about it.

    Returns:
        The attempt, or None when the job has ended or is paused.
    """
    memory = Memory.open(read_settings(), patience_seconds=PATIENCE_SECONDS)
    process = psutil.Process()
    with memory.database.session() as session:
        job = jobs.claim(
            session,
            job_id,
            flow_run_id=flow_run_id,
            process_id=process.pid,
            process_started_at=process.create_time(),
            host=socket.gethostname(),
        )
        if job is None:
            return None
        spec = FineTuningSpec.model_validate(job.spec)
        number, pool, request = job.attempt, job.pool or "cpu", job.request_state
    folder = Path(memory.settings.runs_dir) / job_id
    folder.mkdir(parents=True, exist_ok=True)
    return Attempt(memory, job_id, number, flow_run_id, spec, RunDir(folder), pool, request)


def go_on(attempt: Attempt, reason: str) -> Attempt | None:
    """Take a job whose trainer died once more, in this same process and Prefect run; call it outside of the old context.

    Returns:
        The next attempt, or None when that was the last which ``max_attempts`` allows.
    """
    with attempt.memory.database.session() as session:
        job = jobs.start_again(session, attempt.job_id, attempt.number, reason)
        if job is None:
            return None
        number, asked = job.attempt, job.request_state
    request = asked if asked in REQUESTS else None
    return Attempt(
        attempt.memory, attempt.job_id, number, attempt.flow_run_id, attempt.spec, attempt.run, attempt.pool, request
    )
