"""Which devices this machine has, and taking one for a job before its model is loaded."""

from __future__ import annotations

import os
import socket

from registry.job_life import leases
from tasks.attempt import Attempt
from tasks.gpus import visible_gpus

WAIT_SECONDS = 2.0


def devices_of_pool(pool: str, cpu_slots: int) -> list[str]:
    """Return the devices that jobs of a pool may use here: ``cuda:0``… for ``gpu``, else one for each declared slot.

    A pool of GPUs on a machine without one has the processor.
    """
    if pool != "gpu":
        return [f"cpu:{slot}" for slot in range(cpu_slots)]
    return [f"cuda:{gpu}" for gpu in visible_gpus()] or ["cpu:0"]


def device_environment(devices: list[str], cpu_slots: int) -> dict[str, str]:
    """Return the environment variables that keep a training process to its devices and to its share of the threads.

    Where the processors have one slot, or somebody has set ``OMP_NUM_THREADS``, the number of threads is left alone.
    """
    visible = ",".join(device.partition(":")[2] for device in devices if device.startswith("cuda:"))
    environment = {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if cpu_slots > 1 and not visible and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // cpu_slots))
    return environment


def take_lease(attempt: Attempt) -> list[str]:
    """Take a free device; waits, saying so once, while all are in use.

    Raises:
        StopRequestedError: The job was asked to stop while it waited.
    """
    host, devices = socket.gethostname(), devices_of_pool(attempt.pool, attempt.memory.settings.cpu_slots)
    job = attempt.job()
    while True:
        with attempt.memory.database.session() as session:
            taken = leases.take(session, job, attempt.number, host, devices)
        if taken:
            attempt.devices = taken
            return taken
        attempt.say(f"Waiting for a free device on {host}: {', '.join(devices)}.", key=f"lease:{attempt.number}")
        attempt.wait(WAIT_SECONDS)
