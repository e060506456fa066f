"""Devices of this machine, and the threads of those that share its processors."""

from __future__ import annotations

import os

import pytest

from tasks.leasing import device_environment, devices_of_pool


def test_each_declared_slot_is_a_device() -> None:
    assert devices_of_pool("cpu", 1) == ["cpu:0"]
    assert devices_of_pool("cpu", 3) == ["cpu:0", "cpu:1", "cpu:2"]


def test_slots_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert device_environment(["cpu:1"], 3) == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}
    assert device_environment(["cpu:1"], 20)["OMP_NUM_THREADS"] == "1"
    assert device_environment(["cpu:0"], 1) == {"CUDA_VISIBLE_DEVICES": ""}, "all of them, as ever"
    assert device_environment(["cuda:0", "cuda:2"], 3) == {"CUDA_VISIBLE_DEVICES": "0,2"}


def test_a_chosen_number_of_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in device_environment(["cpu:0"], 2)
