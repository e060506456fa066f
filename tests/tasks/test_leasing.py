"""Devices of this machine, and the threads of those that share its processors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from afinador.errors import ServiceUnavailableError
from tasks.gpus import visible_gpus
from tasks.leasing import device_environment, devices_of_pool

NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_each_declared_slot_is_a_device() -> None:
    assert devices_of_pool("cpu", 1) == ["cpu:0"]
    assert devices_of_pool("cpu", 3) == ["cpu:0", "cpu:1", "cpu:2"]


def test_slots_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert device_environment(["cpu:1"], 3) == {**NO_GPU, "OMP_NUM_THREADS": "2"}
    assert device_environment(["cpu:1"], 20)["OMP_NUM_THREADS"] == "1"
    assert device_environment(["cpu:0"], 1) == NO_GPU, "all of them, as ever"
    assert device_environment(["cuda:0", "cuda:2"], 3) == NO_GPU | {"CUDA_VISIBLE_DEVICES": "0,2"}


def test_a_chosen_number_of_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in device_environment(["cpu:0"], 2)


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of NVIDIA's, on a machine without a GPU, that lists two."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aaaa1111'\necho '1, GPU-bbbb2222'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["0", "1"]),
        ("", []),
        ("-1", []),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-bbbb", ["1"]),
        ("0,7,1", ["0"]),
        ("MIG-0123", ["MIG-0123"]),
    ],
)
def test_jobs_get_the_gpus_that_the_environment_leaves(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[str]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == found
    assert devices_of_pool("gpu", 1) == ([f"cuda:{gpu}" for gpu in found] or ["cpu:0"])


def test_a_driver_that_fails_is_no_machine_without_gpus(two_gpus: None, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library mismatch'\nexit 18\n"
    )
    with pytest.raises(ServiceUnavailableError, match="nvidia-smi failed: Failed to initialize NVML"):
        devices_of_pool("gpu", 1)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert visible_gpus() == []
