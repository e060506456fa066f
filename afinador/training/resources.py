"""What a run uses of the machine, sampled beside the training."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

import psutil

from afinador.training.run_dir import RunDir

logger = logging.getLogger(__name__)


class ResourceSampler:
    """Writes CPU, memory and GPU of this process and its children to ``resources.jsonl``, from a thread.

    Args:
        run_dir: Where the rows go.
        interval_seconds: Time between two rows.
    """

    def __init__(self, run_dir: RunDir, interval_seconds: float = 5.0) -> None:
        self._run_dir = run_dir
        self._interval_seconds = interval_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_done, name="resources", daemon=True)
        self._processes: dict[int, psutil.Process] = {}
        self._rank = int(os.environ.get("RANK", "0"))
        self._watt_hours, self._sampled_at = 0.0, time.monotonic()

    def __enter__(self) -> ResourceSampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=self._interval_seconds)

    def _sample_until_done(self) -> None:
        self.sample()  # the first CPU figure is 0: it needs an earlier moment to compare with
        while not self._done.wait(self._interval_seconds):
            try:
                self._run_dir.log_resources(self.sample())
            except (OSError, psutil.Error, RuntimeError) as error:
                logger.warning("No resource sample: %s", error)

    def sample(self) -> dict[str, Any]:
        """Return one row; CPU as a percentage of one core since the last sample, memory in bytes."""
        row: dict[str, Any] = {"cpu_percent": 0.0, "memory_bytes": 0, "processes": 0, "rank": self._rank}
        for process in self._process_tree():
            try:
                row["cpu_percent"] += process.cpu_percent()
                row["memory_bytes"] += process.memory_info().rss
                row["processes"] += 1
            except psutil.NoSuchProcess:
                continue  # it ended meanwhile
        row["cpu_percent"] = round(row["cpu_percent"], 1)
        memory, gpu = psutil.virtual_memory(), _gpu()
        if "gpu_power_watts" in gpu:
            gpu["gpu_energy_watt_hours"] = self._energy(gpu["gpu_power_watts"])
        return {**row, "host_memory_bytes": memory.total, "host_memory_available_bytes": memory.available, **gpu}

    def _energy(self, power_watts: float) -> float:
        """Add up what the GPU has taken since the first sample, as if its power had been the same since the last one."""
        now = time.monotonic()
        self._watt_hours += power_watts * (now - self._sampled_at) / 3600
        self._sampled_at = now
        return round(self._watt_hours, 4)

    def _process_tree(self) -> list[psutil.Process]:
        """Return the same objects each time: psutil keeps the earlier CPU times in them."""
        me = psutil.Process()
        found = {process.pid: process for process in [me, *me.children(recursive=True)]}
        self._processes = {pid: self._processes.get(pid, process) for pid, process in found.items()}
        return list(self._processes.values())


def _gpu() -> dict[str, Any]:
    # Never the first to import torch, or to start CUDA: the training thread does that in its own time.
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return {}
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    row = {
        "gpu_memory_bytes": torch.cuda.memory_reserved(),
        "gpu_memory_peak_bytes": torch.cuda.max_memory_reserved(),
        "gpu_memory_total_bytes": total_bytes,
        "gpu_memory_free_bytes": free_bytes,
    }
    # NVIDIA's management library may not be there, or not know one of them, such as the use of a part of a GPU.
    for name, read in (
        ("gpu_utilization_percent", torch.cuda.utilization),
        ("gpu_power_watts", lambda: torch.cuda.power_draw() / 1000),
    ):
        with contextlib.suppress(Exception):
            row[name] = read()
    return row
