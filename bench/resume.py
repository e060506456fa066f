"""How soon a job trains on after something of it has died or was away.

``python -m bench.resume [--repeat 3]`` starts the whole stack on an empty home, lets each thing happen to a job of the examples' tiny
model in the middle of training, and counts the seconds from there to the next step that is
trained; training goes on while a server is away. Aims: 15 s after the death of the trainer, 30 s after that of the flow's process, 60 s after that
of a server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.disturbances import KINDS
from tests.faults.run import ROOT, new_victim, upload
from tests.integration.stack import Stack, register_tiny, start, stop

AIMS_SECONDS = {
    "kill_trainer": 15, "terminate_trainer": 15, "kill_flow": 30, "kill_worker": 30, "kill_prefect": 60,
    "kill_everything": 60,
}  # fmt: skip
STEPS_BEFORE = 12
"""A checkpoint is there by then."""


def measure_once(stack: Stack, name: str, kind: str) -> float:
    """Disturb a job once, and return the seconds to its next step."""
    victim = new_victim(stack, name)
    while victim.step() < STEPS_BEFORE:
        time.sleep(0.05)
    assert KINDS[kind](victim, Random(0)), f"nothing to disturb: {kind}"
    seconds = victim.await_training(240)
    assert seconds is not None, f"the job ended before: {victim.job()}"
    victim.post("cancel")
    victim.wait(240)
    return seconds


def measure(repeat: int) -> dict[str, Any]:
    """Measure each kind so often, in turn."""
    found: dict[str, list[float]] = {kind: [] for kind in AIMS_SECONDS}
    with tempfile.TemporaryDirectory(prefix="afinador-resume-") as name:
        stack = start(ROOT, Path(name))
        try:
            register_tiny(stack)
            upload(stack)
            for number in range(repeat):
                for kind, seconds in found.items():
                    seconds.append(measure_once(stack, f"{kind.replace('_', '-')}-{number}", kind))
        finally:
            stop(stack)
    return {
        kind: {
            "median_seconds": round(statistics.median(seconds), 1),
            "most_seconds": round(max(seconds), 1),
            "aim_seconds": AIMS_SECONDS[kind],
        }
        for kind, seconds in found.items()
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.resume", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="how often each kind is measured")
    print(json.dumps(measure(parser.parse_args().repeat), indent=1))


if __name__ == "__main__":
    main()
