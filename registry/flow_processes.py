"""Whether the process of a job's flow is still there."""

from __future__ import annotations

import socket
import time

import psutil

from registry.tables import Job

SILENT_AFTER_SECONDS = 300
"""A flow on another host counts as dead after this long without a heartbeat."""


def flow_lives(job: Job) -> bool:
    """Tell whether the process that claimed a job last is there: by process id and start time on this host."""
    if job.host != socket.gethostname():
        return time.time() - (job.heartbeat_at or 0) < SILENT_AFTER_SECONDS
    if job.process_id is None or job.process_started_at is None:
        return False
    try:
        process = psutil.Process(job.process_id)
        is_same = abs(process.create_time() - job.process_started_at) < 1
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
