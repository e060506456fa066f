"""What is sampled where a GPU tells everything, and where it tells little. A stand-in: these machines have none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afinador.training import resources
from afinador.training.run_dir import RunDir


class NotSupportedError(Exception):
    """As NVIDIA's library raises it: no RuntimeError."""


def not_supported() -> Any:
    raise NotSupportedError


def of_gpu(**told: Any) -> SimpleNamespace:
    cuda = {
        "is_initialized": lambda: True,
        "mem_get_info": lambda: (10, 80),
        "memory_reserved": lambda: 60,
        "max_memory_reserved": lambda: 70,
        "utilization": lambda: 55,
        "power_draw": lambda: 360_000,  # milliwatts
    }
    return SimpleNamespace(cuda=SimpleNamespace(**(cuda | told)))


def test_power_over_time_is_energy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", of_gpu())
    monkeypatch.setenv("RANK", "3")
    clock = iter([0.0, 10.0, 30.0])
    # The module's own name for it: other threads go on reading the real clock.
    monkeypatch.setattr(resources, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    sampler = resources.ResourceSampler(RunDir(tmp_path))
    first, second = sampler.sample(), sampler.sample()
    assert (first["gpu_energy_watt_hours"], second["gpu_energy_watt_hours"]) == (1.0, 3.0)
    assert (second["gpu_utilization_percent"], second["gpu_memory_bytes"], second["rank"]) == (55, 60, 3)


def test_what_a_gpu_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", of_gpu(utilization=not_supported))
    row = resources.ResourceSampler(RunDir(tmp_path)).sample()
    assert row["gpu_power_watts"] == 360 and "gpu_utilization_percent" not in row
