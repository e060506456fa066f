"""Disturbs jobs at random until the time is over, and holds each against one that was left in peace.

``python tests/faults/run.py --minutes 20 --seed 1 [--kinds kill_trainer,kill_flow]`` starts the whole stack on a home of its own and prints what it did as
JSON. Exit code 1 as soon as a job is lost, ends otherwise, or publishes other bits or twice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults.disturbances import KINDS  # noqa: E402
from tests.faults.victim import Victim  # noqa: E402
from tests.integration.stack import Stack, register_tiny, start, stop  # noqa: E402

SMALL_STORAGE = Path(__file__).with_name("small_storage")
TRAINS_AGAIN_SECONDS = 180.0
SHARE_IN_TRAINING = 0.8
"""Of jobs that are left alone until they train; the others are disturbed from their creation on."""


@dataclass
class Report:
    """What was done so far."""

    seed: int
    jobs: int = 0
    done: Counter[str] = field(default_factory=Counter)
    nothing_there: Counter[str] = field(default_factory=Counter)
    recovery_seconds: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "seed": self.seed,
            "jobs": self.jobs,
            "disturbances": sum(self.done.values()),
            "by_kind": dict(sorted(self.done.items())),
            "nothing_to_disturb": dict(sorted(self.nothing_there.items())),
            "seconds_to_the_next_step": {
                kind: {"median": round(statistics.median(values), 1), "most": round(max(values), 1)}
                for kind, values in sorted(self.recovery_seconds.items())
            },
        }


def upload(stack: Stack) -> None:
    """Upload a small training and a small validation file."""
    for name, rows in (("train", 48), ("validation", 8)):
        lines = (ROOT / "examples" / "data" / f"{name}.jsonl").read_text().splitlines(keepends=True)[:rows]
        with stack.http() as http:
            file = (f"faults-{name}.jsonl", "".join(lines).encode())
            http.post("/files", files={"file": file}, data={"purpose": "fine-tune"}).raise_for_status()


def new_victim(stack: Stack, name: str) -> Victim:
    """Create a job like all others here."""
    return Victim(stack, name, "faults-train", "faults-validation")


def disturb(
    victim: Victim, kinds: list[str], random: Random, report: Report, *, most_seconds_between: float = 6.0
) -> None:
    """Let one thing after the other happen to a job, each after some seconds of whatever it does then."""
    for kind in kinds:
        time.sleep(random.uniform(0.5, most_seconds_between))
        if victim.job()["status"] in ("succeeded", "failed", "cancelled"):
            return
        print(f"{victim.name}: {kind} at step {victim.step()}", file=sys.stderr, flush=True)
        if not KINDS[kind](victim, random):
            report.nothing_there[kind] += 1
            continue
        report.done[kind] += 1
        seconds = victim.await_training(TRAINS_AGAIN_SECONDS)
        if seconds is not None:
            report.recovery_seconds.setdefault(kind, []).append(seconds)


def run(stack: Stack, minutes: float, kinds: list[str], report: Report) -> None:
    """Disturb job after job until the time is over, and write into the report what was done.

    Raises:
        AssertionError: A job did not end as the undisturbed one.
    """
    random = Random(report.seed)
    upload(stack)
    undisturbed = new_victim(stack, "undisturbed")
    assert undisturbed.wait(600)["status"] == "succeeded", undisturbed.messages()
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        victim = new_victim(stack, f"victim-{report.jobs + 1}")
        if random.random() < SHARE_IN_TRAINING:
            victim.await_training(TRAINS_AGAIN_SECONDS)
        chosen = [random.choice(kinds) for _ in range(random.randint(2, 5))]
        disturb(victim, chosen, random, report)
        victim.require_untouched(undisturbed)
        report.jobs += 1


def mount(folder: Path) -> bool:
    """Give a folder a small disk of its own, where mounting is allowed."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=800m", "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def main() -> int:
    """Start the stack, disturb, and print the report."""
    parser = argparse.ArgumentParser(prog="python tests/faults/run.py", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="how long new jobs are disturbed")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn by chance")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="afinador-faults-"))
    has_own_disk = mount(home / "runs")
    stack, report = start(ROOT, home, PYTHONPATH=str(SMALL_STORAGE)), Report(options.seed)
    try:
        register_tiny(stack)
        run(stack, options.minutes, options.kinds.split(","), report)
    except AssertionError:
        traceback.print_exc()
        print(f"The home is kept: {home}. Before this:\n{json.dumps(report.to_json())}", file=sys.stderr)
        return 1
    finally:
        stop(stack)
        if has_own_disk:
            subprocess.run(["umount", home / "runs"], check=True)
    print(json.dumps(report.to_json(), indent=1))
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
