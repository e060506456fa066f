"""The process that trains: started in a session of its own, followed through its run directory, stopped by request."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time

import psutil

from afinador.errors import AfinadorError, InsufficientStorageError, TrainingError
from afinador.training.deaths import ended_by_signal, kills_for_memory
from tasks.attempt import Attempt
from tasks.leasing import device_environment

logger = logging.getLogger(__name__)

MODULE = "afinador.training.run"
EXIT_FAILED = 1
"""Exit code of a trainer that has written down why it failed."""
EXIT_STOPPED = 75
"""Exit code of a trainer that stopped because it was asked to."""
EXIT_DISK_FULL = 74
"""Exit code of a trainer that could not even write down how it ended."""
STOP_GRACE_SECONDS = 600
"""A step and the checkpoint after it may take so long."""
SIGNAL_GRACE_SECONDS = 20
"""Prefect's worker kills a flow 30 s after it has told it to end."""
LOOK_SECONDS = 0.3
FORMER_GRACE_SECONDS = 120
"""So long the trainer of an earlier attempt may take to save and end."""


class TrainerDiedError(TrainingError):
    """The training process ended without having said why; started again, it may well reach its end."""

    code = "trainer_died"


def start(attempt: Attempt) -> None:
    """Start training for this attempt; output goes to the run's ``log.txt``, never to the flow's pipe.

    A trainer that an earlier attempt left behind is waited for, and ended when it does not stop by itself: two never
    train one job at once.
    """
    outlive_former(attempt)
    me = psutil.Process()
    own = device_environment(attempt.devices, attempt.memory.settings.cpu_slots)
    environment = {**os.environ, **own, "PYTHONUNBUFFERED": "1"}
    attempt.kills_for_memory = kills_for_memory()
    with (attempt.run.path / "log.txt").open("ab") as log:
        attempt.trainer = subprocess.Popen(
            [
                sys.executable,
                "-m",
                MODULE,
                str(attempt.run.path),
                "--attempt",
                str(attempt.number),
                "--flow-process",
                f"{me.pid}:{me.create_time()}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


def outlive_former(attempt: Attempt) -> None:
    """Wait for the trainer of an earlier attempt; it stops when it sees the newer attempt in ``control.json``.

    Raises:
        StopRequestedError: The job was asked to stop meanwhile.
    """
    end = time.monotonic() + FORMER_GRACE_SECONDS
    while left := _trainers(attempt):
        if time.monotonic() > end:
            _kill(left)
        attempt.wait(LOOK_SECONDS)


def end_left(attempt: Attempt, request: str, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
    """Ask the trainer that a dead flow has left behind to stop and to save, and wait; end it by force when it does not.

    Args:
        attempt: Whose run directory it trains in; its attempt, or a newer one.
        request: What it is told.
        grace_seconds: How long it may take.
    """
    attempt.run.write_control(attempt.number, request)
    end = time.monotonic() + grace_seconds
    while left := _trainers(attempt):
        if time.monotonic() > end:
            _kill(left)
        time.sleep(LOOK_SECONDS)


def exit_code(attempt: Attempt) -> int | None:
    """Return the trainer's exit code, or None while it runs."""
    return attempt.trainer.poll() if attempt.trainer is not None else None


def require_success(attempt: Attempt, code: int) -> None:
    """Turn an exit code into what it means.

    Raises:
        StopRequestedError: It stopped because it was asked to.
        TrainerDiedError: It ended by a signal, or without a reason.
        AfinadorError: Training failed, with the reason that it wrote.
    """
    if code == 0:
        return
    result = attempt.run.result() or {}
    error = result.get("error") or {}
    if code == EXIT_FAILED and result.get("status") == "failed" and error.get("message"):
        raise AfinadorError(error["message"], code=error.get("code"), param=error.get("param"))
    attempt.check()
    if code == EXIT_DISK_FULL:
        raise InsufficientStorageError(
            "The disk of the run directory is full: training could not write down how it ended."
        )
    if code == EXIT_STOPPED:
        attempt.wait(2)
        raise TrainerDiedError("The training process stopped although nobody asked it to.")
    if code < 0:
        raise TrainerDiedError(ended_by_signal(attempt.run, -code, attempt.kills_for_memory))
    raise TrainerDiedError(f"The training process ended with code {code} without a reason; see the job's log.")


def stop(attempt: Attempt, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
    """Ask the trainer to stop after its step and to save, and wait; end it by force when it does not."""
    process = attempt.trainer
    if process is None or process.poll() is not None:
        return
    attempt.run.write_control(attempt.number, attempt.request or "cancel")
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        logger.warning("Training did not stop within %s s and is ended by force.", grace_seconds)
        process.kill()
        process.wait()


def _trainers(attempt: Attempt) -> list[psutil.Process]:
    """Find the living trainers of this very run directory, also one that has not said yet that it is there."""
    mark = (MODULE, str(attempt.run.path))
    processes = psutil.process_iter(["cmdline", "status"])
    alive = (process for process in processes if process.info["status"] != psutil.STATUS_ZOMBIE)
    return [process for process in alive if set(mark) <= set(process.info["cmdline"] or ())]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
