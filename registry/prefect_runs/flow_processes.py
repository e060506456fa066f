"""Whether the process of a flow is still there."""

from __future__ import annotations

import socket
import time

import psutil

from registry.ledger.tables import Certificate, Job, Preparation

SILENT_AFTER_SECONDS = 300
"""A flow on another host counts as dead after this long without a heartbeat."""


def flow_lives(claimed: Job | Certificate | Preparation) -> bool:
    """Tell whether the process that claimed a job, a certificate or a preparation is there: by process id and start time on this host."""
    if claimed.host != socket.gethostname():
        return time.time() - (claimed.heartbeat_at or 0) < SILENT_AFTER_SECONDS
    if claimed.process_id is None or claimed.process_started_at is None:
        return False
    try:
        process = psutil.Process(claimed.process_id)
        is_same = abs(process.create_time() - claimed.process_started_at) < 1
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
