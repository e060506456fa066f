"""A training process of our own, waited for: for whoever wants a run in a fresh process and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from afinador.errors import AfinadorError, TrainingError
from afinador.training.deaths import ended_by_signal, kills_for_memory
from afinador.training.run_dir import RunDir
from afinador.training.stopping import EXIT_STOPPED

LOOK_SECONDS = 0.3
STOP_SECONDS = 60.0


def look_away(_: RunDir) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class TrainingProcess:
    """How training processes are started.

    Attributes:
        watch: Called a few times a second with the run directory in which training goes on. What it raises stops the
            training and goes on to the caller.
        environment: Variables beside our own, such as ``CUDA_VISIBLE_DEVICES``.
    """

    watch: Callable[[RunDir], None] = look_away
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, run_dir: RunDir, *, stop_after: int | None = None, threads: int | None = None) -> None:
        """Train in a process of its own until it is done, or has stopped after a step.

        Args:
            run_dir: With its ``spec.json``.
            stop_after: See ``python -m afinador.training.run --help``.
            threads: How many the process computes with; as many as it likes by default.

        Raises:
            AfinadorError: Training failed, with the reason that it gave.
        """
        me = psutil.Process()
        words = [sys.executable, "-m", "afinador.training.run", str(run_dir.path)]
        words += ["--flow-process", f"{me.pid}:{me.create_time()}"]
        words += [] if stop_after is None else ["--stop-after", str(stop_after)]
        variables = {**os.environ, **self.environment, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
        kills_before = kills_for_memory()
        with tempfile.TemporaryFile() as said:
            # A session of its own: Ctrl-C reaches us alone, and we ask the child to stop.
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=variables,
            )
            self._wait(child, run_dir)
            said.seek(0)
            last_words = said.read().decode(errors="replace").strip().rpartition("\n")[2]
        if child.returncode == 0 or (child.returncode == EXIT_STOPPED and stop_after is not None):
            return
        raise _failure(run_dir, child.returncode, last_words, kills_before)

    def _wait(self, child: subprocess.Popen[bytes], run_dir: RunDir) -> None:
        try:
            while child.poll() is None:
                self.watch(run_dir)
                time.sleep(LOOK_SECONDS)
        except BaseException:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            raise


def _failure(run_dir: RunDir, exit_code: int, last_words: str, kills_before: int) -> AfinadorError:
    error = (run_dir.result() or {}).get("error") or {}
    if error.get("message"):
        return AfinadorError(error["message"], code=error.get("code"), param=error.get("param"))
    if exit_code < 0:
        return TrainingError(ended_by_signal(run_dir, -exit_code, kills_before))
    return TrainingError(f"The training process ended with code {exit_code}: {last_words or 'see log.txt'}")
