"""What a run computes on: two runs on the same ground give the same bits."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from afinador import __version__
from afinador.training.comparison import differences
from afinador.training.setup import Computing

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")


@cache  # looked up for each checkpoint, and 4 ms of reading metadata each time
def versions() -> dict[str, str]:
    """Return the versions of Python, of Afinador and of what computes."""
    return {
        "python": platform.python_version(),
        "afinador": __version__,
        **{name: version(name) for name in LIBRARIES},
    }


def environment_of(computing: Computing) -> dict[str, Any]:
    """Return device, processor, precision, threads and versions, as they are kept with every checkpoint."""
    return {
        "device": computing.device_name,
        "processor": _processor(),
        "precision": computing.precision,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cuda": torch.version.cuda if computing.device.type == "cuda" else None,
        "versions": versions(),
    }


def why_inexact(saved: dict[str, Any], here: dict[str, Any]) -> str | None:
    """Return why a run that goes on from a checkpoint may come to other bits; None where it does not.

    Args:
        saved: What ``environment_of`` said when the checkpoint was saved.
        here: What it says now.
    """
    if changed := differences(saved, here):
        return f"on other ground: {changed}"
    if here["cuda"] is not None and not here["deterministic"]:
        return "on a GPU, some of whose kernels add in an order of chance (deterministic: true excludes them)"
    return None


def _processor() -> str:
    """Return the processor's name; kernels are chosen by what it can."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
