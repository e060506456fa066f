"""Which GPUs of this machine jobs may use, found without loading a library that could occupy one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from afinador.errors import ServiceUnavailableError

LISTING_TIMEOUT_SECONDS = 30


def visible_gpus() -> list[str]:
    """Return the NVIDIA GPUs that jobs may use, each as ``CUDA_VISIBLE_DEVICES`` names it: an index, or a MIG device.

    Where that variable is set, it chooses as it does for CUDA: all up to the first that is not there. Indices are those
    of ``nvidia-smi`` (``CUDA_DEVICE_ORDER=PCI_BUS_ID``).

    Raises:
        ServiceUnavailableError: NVIDIA's program is there and does not answer.
    """
    chosen, installed = os.environ.get("CUDA_VISIBLE_DEVICES"), _installed()
    if chosen is None:
        return list(installed)
    found: list[str] = []
    for name in (each.strip() for each in chosen.split(",")):
        named = name if name.startswith("MIG-") else _index_of(name, installed)
        if named is None:
            break
        found.append(named)
    return found


def _index_of(name: str, installed: dict[str, str]) -> str | None:
    if name in installed:
        return name
    return next((index for index, uuid in installed.items() if name.startswith("GPU-") and uuid.startswith(name)), None)


def _installed() -> dict[str, str]:
    """Return index and UUID of each GPU; without NVIDIA's program the devices are counted, and no UUID is known."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {path.name[6:]: "" for path in sorted(Path("/dev").glob("nvidia[0-9]*")) if path.name[6:].isdigit()}
    command = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=LISTING_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServiceUnavailableError(
            f"nvidia-smi has not answered within {LISTING_TIMEOUT_SECONDS} s. Look at the driver of the GPUs."
        ) from error
    if listing.returncode and "No devices" not in listing.stdout + listing.stderr:
        said = (listing.stdout + listing.stderr).strip()[:200]
        raise ServiceUnavailableError(f"nvidia-smi failed: {said}. Look at the driver of the GPUs.")
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[0].isdigit()}
