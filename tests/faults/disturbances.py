"""What can happen to a job in the middle of it: each a function that does it once, for real."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import psutil

from afinador.training.checkpoints import complete_checkpoints
from afinador.training.run_dir import RunDir
from tests.faults.victim import ENDED, Victim
from tests.integration.stack import start_again

OUTAGE_SECONDS = 30.0
PAUSE_SECONDS = 120.0
LEFT_BYTES = 100_000_000


def kill_trainer(victim: Victim, random: Random) -> bool:
    """kill -9 of the process that trains."""
    return _kill(victim.trainer())


def terminate_trainer(victim: Victim, random: Random) -> bool:
    """SIGTERM to the process that trains: it saves, and ends although nobody asked the job to."""
    return _kill(victim.trainer(), signal.SIGTERM)


def kill_flow(victim: Victim, random: Random) -> bool:
    """kill -9 of the flow's process; its trainer notices and stops."""
    return _kill(victim.flow())


def kill_worker(victim: Victim, random: Random) -> bool:
    """kill -9 of Prefect's worker; the supervisor starts another."""
    return _kill(victim.part("worker-cpu"))


def kill_prefect(victim: Victim, random: Random) -> bool:
    """kill -9 of Prefect's server."""
    return _kill(victim.part("prefect"))


def kill_mlflow(victim: Victim, random: Random) -> bool:
    """kill -9 of MLflow's server."""
    return _kill(victim.part("mlflow"))


def kill_api(victim: Victim, random: Random) -> bool:
    """kill -9 of the API."""
    done = _kill(victim.part("api"))
    victim.await_api()
    return done


def kill_supervisor(victim: Victim, random: Random) -> bool:
    """kill -9 of the supervisor, and `afinador up` again, as a service manager does."""
    done = _kill(psutil.Process(victim.stack.process.pid))
    victim.stack.process.wait(30)
    start_again(victim.stack)
    return done


def kill_everything(victim: Victim, random: Random) -> bool:
    """kill -9 of every process of the home at once, as a power cut does, and `afinador up` again."""
    for process in victim.stack.processes():
        _kill(process)
    victim.stack.process.wait(30)
    start_again(victim.stack)
    return True


def pause_and_resume(victim: Victim, random: Random) -> bool:
    """Pause by the API, wait until it is paused, resume by the API."""
    if not victim.pause(PAUSE_SECONDS):
        return False
    time.sleep(random.uniform(0, 2))
    victim.post("resume")
    return True


def pause_and_resume_in_prefect(victim: Victim, random: Random) -> bool:
    """Pause by the API, resume by the button of Prefect's page of the run."""
    if not victim.pause(PAUSE_SECONDS):
        return False
    run = (victim.job()["run_url"] or "").rpartition("/")[2]
    answer = httpx.post(f"{victim.stack.prefect_url}/flow_runs/{run}/resume", json={}, timeout=60)
    if answer.is_error or answer.json()["status"] != "ACCEPT":  # its SQLite was busy, or it shows no suspended run yet
        victim.post("resume")
    return True


def cancel_in_prefect_and_go_on(victim: Victim, random: Random) -> bool:
    """Cancel by the button of Prefect's page of the run, and go on as a new job from the newest checkpoint."""
    if not victim.get(f"/fine_tuning/jobs/{victim.id}/checkpoints", limit=1)["data"]:
        return False
    if not victim.set_run_state("CANCELLING", "Cancelling") or victim.wait(PAUSE_SECONDS)["status"] != "cancelled":
        return False
    victim.go_on_as_another_job()
    return True


def cancel_without_a_flow(victim: Victim, random: Random) -> bool:
    """kill -9 of the flow's process, a cancel by the API before anybody has seen it, and on as a new job."""
    trainer = victim.trainer()
    if trainer is None or not _kill(victim.flow()) or victim.post("cancel").is_error:
        return False
    if victim.wait(PAUSE_SECONDS)["status"] != "cancelled":
        return False
    assert victim.trainer() is None, "its device is free, and it trains on"
    (newest,) = victim.get(f"/fine_tuning/jobs/{victim.id}/checkpoints", limit=1)["data"]
    assert newest["step_number"] == victim.step(), "the last checkpoint was not taken over"
    assert victim.job()["result_files"], "the curves were not kept"
    victim.go_on_as_another_job()
    return True


def retry_in_prefect(victim: Victim, random: Random) -> bool:
    """Make the run failed by Prefect's page of it while the job goes on, and press Retry there."""
    if not victim.set_run_state("FAILED", "Failed"):
        return False
    time.sleep(random.uniform(0, 2))
    return victim.set_run_state("SCHEDULED", "AwaitingRetry")


def server_outage(victim: Victim, random: Random) -> bool:
    """Prefect's server answers nobody for 30 s."""
    return _freeze(victim.part("prefect"))


def ledger_locked(victim: Victim, random: Random) -> bool:
    """Somebody holds the ledger's database for 30 s."""
    return _lock(victim.stack.home / "ledger.db")


def mlflow_locked(victim: Victim, random: Random) -> bool:
    """Somebody holds the database of MLflow's store for 30 s."""
    return _lock(victim.stack.home / "mlflow.db")


def tear_checkpoint(victim: Victim, random: Random) -> bool:
    """The newest checkpoint loses the end of a file, and the trainer dies."""
    return _spoil(victim, random, lambda content: content[: len(content) // 2])


def flip_bit(victim: Victim, random: Random) -> bool:
    """A bit of the newest checkpoint is another one, and the trainer dies."""

    def flip(content: bytes) -> bytes:
        place = random.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]

    return _spoil(victim, random, flip)


def fill_disk(victim: Victim, random: Random) -> bool:
    """The disk of the run directories is full until the job is paused for it; then there is space again."""
    runs = victim.run_dir.parent
    if not runs.is_mount():
        return False  # a disk of their own is needed: nobody may fill that of the machine
    filler = runs / "filler"
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(runs).free - LEFT_BYTES)
    return _waits_for_space(victim, filler)


def fill_storage(victim: Victim, random: Random) -> bool:
    """The storage finds no space at some byte of a file until the job is paused for it; then there is space again."""
    limit = victim.stack.home / "storage-fits-bytes"
    limit.write_text(str(random.randrange(20_000)))  # see small_storage/sitecustomize.py
    return _waits_for_space(victim, limit)


KINDS: dict[str, Callable[[Victim, Random], bool]] = {
    function.__name__: function
    for function in (
        kill_trainer, terminate_trainer, kill_flow, kill_worker, kill_prefect, kill_mlflow, kill_api, kill_supervisor,
        kill_everything, pause_and_resume, pause_and_resume_in_prefect, cancel_in_prefect_and_go_on,
        cancel_without_a_flow, retry_in_prefect, server_outage, ledger_locked, mlflow_locked, tear_checkpoint, flip_bit,
        fill_disk, fill_storage,
    )
}  # fmt: skip
"""Each returns False where there was nothing to disturb."""


def _waits_for_space(victim: Victim, cause: Path) -> bool:
    """Wait until the job is paused for want of space, remove what takes it, and resume the job."""
    try:
        end = time.monotonic() + PAUSE_SECONDS
        while (status := victim.job()["status"]) != "paused":
            if status in ENDED:
                return False
            assert time.monotonic() < end, victim.messages()
            time.sleep(0.3)
    finally:
        cause.unlink()
    assert any("is paused and keeps its last good checkpoint" in message for message in victim.messages())
    victim.post("resume")
    return True


def _kill(process: psutil.Process | None, number: int = signal.SIGKILL) -> bool:
    if process is None:
        return False
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def _lock(database: Path) -> bool:
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(OUTAGE_SECONDS)
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return True


def _freeze(process: psutil.Process | None) -> bool:
    if not _kill(process, signal.SIGSTOP) or process is None:
        return False
    time.sleep(OUTAGE_SECONDS)
    os.kill(process.pid, signal.SIGCONT)
    return True


def _spoil(victim: Victim, random: Random, change: Callable[[bytes], bytes]) -> bool:
    trainer = victim.trainer()
    if trainer is None:
        return False
    trainer.suspend()  # it must not prune the checkpoint while we spoil it
    try:
        checkpoints = complete_checkpoints(RunDir(victim.run_dir))
        if len(checkpoints) < 2:
            return False
        files = [path for path in sorted(checkpoints[-1].rglob("*")) if path.is_file() and path.stat().st_size > 1]
        spoilt: Path = random.choice(files)
        spoilt.write_bytes(change(spoilt.read_bytes()))
    finally:
        trainer.resume()
    return _kill(trainer)
