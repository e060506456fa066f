"""How soon a job trains on after something of it has died or was away.

``python -m bench.resume [--repeat 3]`` starts the whole stack on an empty home, lets each thing happen to a job of the examples' tiny
model in the middle of training, and counts the seconds from there to the next step that is trained, of the next attempt
where this one ended, starts of the service included; training goes on while a server is away. Aims: 15 s after the death of the trainer, 30 s after that of the flow's process, 60 s after that
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
from tests.faults.victim import Victim
from tests.integration.stack import Stack, register_tiny, start, stop

AIMS_SECONDS = {
    "kill_trainer": 15, "terminate_trainer": 15, "kill_flow": 30, "kill_worker": 30, "kill_prefect": 60,
    "kill_everything": 60,
}  # fmt: skip
TIMEOUT_SECONDS = 240
ENDS_ATTEMPT = ("kill_trainer", "terminate_trainer", "kill_flow", "kill_everything")
"""After these only a step of the next attempt counts: a step that was under way may still be finished, and the trainer of
a killed flow trains on until it is replaced."""
STEPS_BEFORE = 12
"""A checkpoint is there by then."""


def measure_once(stack: Stack, name: str, kind: str) -> float:
    """Disturb a job once, and return the seconds to its next step."""
    victim = new_victim(stack, name)
    while victim.step() < STEPS_BEFORE:
        time.sleep(0.05)
    attempt, started_at = attempt_of(victim), time.monotonic()
    assert KINDS[kind](victim, Random(0)), f"nothing to disturb: {kind}"
    while kind in ENDS_ATTEMPT and attempt_of(victim) == attempt:
        assert time.monotonic() - started_at < TIMEOUT_SECONDS, victim.job()
        time.sleep(0.1)
    assert victim.await_training(TIMEOUT_SECONDS) is not None, f"the job ended before: {victim.job()}"
    seconds = time.monotonic() - started_at
    victim.post("cancel")
    victim.wait(TIMEOUT_SECONDS)
    return seconds


def attempt_of(victim: Victim) -> int:
    """Return the number of the attempt that trains, from the run directory."""
    try:
        return int(json.loads((victim.run_dir / "status.json").read_text())["attempt"])
    except (OSError, ValueError):
        return 0


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
