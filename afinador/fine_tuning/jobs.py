"""Jobs as processes of this machine, and what is known of them on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from afinador.config.spec import FineTuningSpec
from afinador.errors import NotFoundError, nearest
from afinador.training.run_dir import RunDir, write_atomically
from afinador.training.stopping import FlowProcess

Status = Literal["pending", "running", "completed", "failed", "cancelled"]
ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class FineTuningJob:
    """A job as it was when it was looked at.

    Attributes:
        status: ``pending`` until its process has begun, ``running``, then ``completed``, ``failed`` or ``cancelled``.
        run_dir: Its folder; ``docs/training.md`` describes the files.
        progress: ``step``, ``steps``, ``epoch``, ``eta_seconds``, ``train_loss`` and others; empty before the first.
        metrics: ``{"base": {…}, "tuned": {…}}``; empty without validation data.
        error: Why it failed.
        model_path: The trained model or adapter, once it is completed.
    """

    id: str
    status: Status
    created_at: datetime
    run_dir: Path
    progress: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    model_path: Path | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ENDED


class LocalJobs:
    """The jobs that were started on this machine.

    Args:
        folder: Where a small file for each says where it runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, job_id: str, spec: FineTuningSpec, folder: Path) -> None:
        """Start the process of a job in a run directory; it goes on without us."""
        run_dir = RunDir(folder)
        run_dir.write_spec(spec)
        with run_dir.log.open("ab") as log:
            words = [sys.executable, "-m", "afinador.training.run", str(folder)]
            child = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self._children.append(child)
        record = {
            "run_dir": str(folder),
            "created_at": time.time(),
            "process": f"{child.pid}:{psutil.Process(child.pid).create_time()}",
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / f"{job_id}.json", json.dumps(record, indent=1))

    def get(self, job_id: str) -> FineTuningJob:
        """Look at a job.

        Raises:
            NotFoundError: No such job was started on this machine.
        """
        record = self._record(job_id)
        self._children = [child for child in self._children if child.poll() is None]
        run_dir = RunDir(Path(record["run_dir"]))
        is_alive = FlowProcess.parse(record["process"]).is_alive()  # before the result: none can follow an end
        state, result = run_dir.status() or {}, run_dir.result()
        status, error = _status(is_alive, state, result, run_dir)
        return FineTuningJob(
            id=job_id,
            status=status,
            created_at=datetime.fromtimestamp(record["created_at"], UTC),
            run_dir=run_dir.path,
            progress=state,
            metrics=(result or {}).get("metrics") or {},
            error=error,
            model_path=run_dir.final if status == "completed" else None,
        )

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop after its current step."""
        RunDir(Path(self._record(job_id)["run_dir"])).write_control(1, "cancel")

    def ids(self) -> list[str]:
        """Return the ids of all jobs."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def _record(self, job_id: str) -> dict[str, Any]:
        known = self.ids()
        if job_id not in known:
            raise NotFoundError(
                f"There is no job {job_id!r} on this machine.{nearest(job_id, known)}", code="job_not_found"
            )
        return dict(json.loads((self._folder / f"{job_id}.json").read_text(encoding="utf-8")))


def _status(
    is_alive: bool, state: dict[str, Any], result: dict[str, Any] | None, run_dir: RunDir
) -> tuple[Status, str | None]:
    if result is not None:
        error = (result.get("error") or {}).get("message")
        return ("completed", None) if result.get("status") == "succeeded" else ("failed", error)
    if is_alive:
        return ("running" if state.get("state", "starting") != "starting" else "pending"), None
    if state.get("state") == "stopped":
        return "cancelled", None
    return "failed", f"The training process ended without a word; see {run_dir.log}."
