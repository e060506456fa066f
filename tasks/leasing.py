"""Which devices this machine has, and taking one for a job before its model is loaded."""

from __future__ import annotations

import shutil
import socket
import subprocess

from registry import leases
from tasks.attempt import Attempt

WAIT_SECONDS = 2.0


def devices_of_pool(pool: str) -> list[str]:
    """Return the devices that jobs of a pool may use here: ``cuda:0``… for ``gpu``, else ``cpu:0``."""
    program = shutil.which("nvidia-smi")
    if pool != "gpu" or program is None:
        return ["cpu:0"]
    listing = subprocess.run(
        [program, "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=30, check=False
    )
    indices = [line.strip() for line in listing.stdout.splitlines() if line.strip().isdigit()]
    return [f"cuda:{index}" for index in indices] or ["cpu:0"]


def take_lease(attempt: Attempt) -> list[str]:
    """Take a free device; waits, saying so once, while all are in use.

    Raises:
        StopRequestedError: The job was asked to stop while it waited.
    """
    host, devices = socket.gethostname(), devices_of_pool(attempt.pool)
    job = attempt.job()
    while True:
        with attempt.memory.database.session() as session:
            taken = leases.take(session, job, attempt.number, host, devices)
        if taken:
            attempt.devices = taken
            return taken
        attempt.say(f"Waiting for a free device on {host}: {', '.join(devices)}.", key=f"lease:{attempt.number}")
        attempt.wait(WAIT_SECONDS)
