"""Two runs side by side: are they the same to the bit? Needs no torch; whoever asks only reads files."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

from afinador.storage import sha256_of
from afinador.training.run_dir import TIMES, RunDir


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Say where two environments differ, or return an empty text."""
    flat = [{**each, **each["versions"]} for each in (before, now)]
    names = [name for name in flat[1] if name != "versions" and flat[0].get(name) != flat[1][name]]
    return ", ".join(f"{name} {flat[0].get(name)} became {flat[1][name]}" for name in names)


def tensor_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each safetensors file below a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(folder.rglob("*.safetensors"))}


def measurements(run_dir: RunDir, upto: int) -> list[dict[str, Any]]:
    """Return what a run has measured up to and with a step, without what is another value each time."""
    rows, _ = run_dir.metrics_after(0)
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows if row["step"] <= upto]


def first_difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return ``step``, name of the ``value`` and what the two journals say of it, or None if they say the same."""
    missing: dict[str, Any] = {}
    for row, counterpart in zip_longest(one, other, fillvalue=missing):
        for name in sorted(row.keys() | counterpart.keys()):
            if row.get(name) != counterpart.get(name):
                step = row.get("step", counterpart.get("step"))
                return {"step": step, "value": name, "values": [row.get(name), counterpart.get(name)]}
    return None
