"""Runs the craft in a child process and shows its run directory as it grows."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from afinador.cli import render
from afinador.cli.watching import Screen, screen_for
from afinador.errors import InvalidRequestError
from afinador.training.job_file import named_run_dir, spec_from_file
from afinador.training.run_dir import RunDir

STOPPED = 75
"""Exit code of a training process that was asked to stop."""
LOOK_SECONDS = 0.3
STOP_SECONDS = 60.0


def train_and_show(job: Path, named: Path | None, unnamed: Path, *, shown_as_json: bool) -> int:
    """Train what a file describes in a run directory, and return the exit code.

    The run directory is the ``named`` one, else the file's ``output_dir``, else ``unnamed``.

    The child is told to stop when we are; what it has trained so far stays in the run directory.
    """
    run_dir = _prepared(job, named, unnamed)
    render.remark(f"Training in {run_dir.path}")
    signal.signal(signal.SIGTERM, _interrupt)
    words = [sys.executable, "-m", "afinador.training.run", str(run_dir.path)]
    with tempfile.TemporaryFile() as said:
        # A session of its own: Ctrl-C reaches us alone, and we ask the child to stop.
        child = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            with screen_for() as screen:
                _show(run_dir, child, screen)
        except KeyboardInterrupt:
            render.remark("Stopping after the current step …")
            _stop(child)
            raise
        said.seek(0)
        last_words = said.read().decode(errors="replace").strip().rpartition("\n")[2]
    return _tell(run_dir, child.returncode, last_words, shown_as_json=shown_as_json)


def _prepared(job: Path, named: Path | None, unnamed: Path) -> RunDir:
    """Check the job file and everything it names, and write what is to be done into the run directory.

    Raises:
        InvalidRequestError: The folder holds another run.
        AfinadorError: See ``afinador.training.job_file.spec_from_file``.
    """
    spec = spec_from_file(job)
    folder = (named or named_run_dir(spec, job) or unnamed).absolute()
    run_dir = RunDir(folder)
    if (folder / "spec.json").exists() and run_dir.spec() != spec:
        raise InvalidRequestError(f"{folder} holds another run; name another folder with --output, or remove that one.")
    run_dir.write_spec(spec)
    return run_dir


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _show(run_dir: RunDir, child: subprocess.Popen[bytes], screen: Screen) -> None:
    """Show events and progress until the child has ended, and what it wrote last."""
    cursors = {"events": 0, "metrics": 0}
    losses: dict[str, Any] = {}
    while True:
        has_ended = child.poll() is not None  # before the look, so that the last rows are seen
        events, cursors["events"] = run_dir.events_after(cursors["events"])
        rows, cursors["metrics"] = run_dir.metrics_after(cursors["metrics"])
        for row in rows:
            losses |= {key: row[key] for key in ("train_loss", "valid_loss") if key in row}
        for event in events:
            screen.event({**event, "created_at": event["timestamp_ms"] / 1000})
        status = run_dir.status() or {"state": "starting"}
        screen.job({"status": "running", "progress": {**losses, **status}})
        if has_ended:
            return
        time.sleep(LOOK_SECONDS)


def _tell(run_dir: RunDir, exit_code: int, last_words: str, *, shown_as_json: bool) -> int:
    result = run_dir.result() or {}
    if shown_as_json:
        render.as_json({**result, "run_dir": str(run_dir.path), "model_path": str(run_dir.final)})
    if exit_code == 0 and result.get("status") == "succeeded":
        if not shown_as_json:
            render.result(render.comparison_of(result) or f"mean train loss  {render.text(result.get('train_loss'))}")
        render.remark(f"The result lies in {run_dir.final}")
        return 0
    reason = (result.get("error") or {}).get("message") or last_words or "see log.txt there"
    if exit_code == STOPPED:
        reason = "it was asked to stop"
    render.remark(f"Training in {run_dir.path} has not succeeded: {reason}")
    return 1
