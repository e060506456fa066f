"""Jobs that are disturbed in earnest, and end with the bits of one that was left in peace. ``run.py`` does it for longer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.run import Report, disturb, new_victim, upload
from tests.integration.stack import Stack, register_tiny, start, stop

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KINDS = [
    "kill_trainer", "kill_flow", "kill_everything", "pause_and_resume", "tear_checkpoint", "kill_worker",
    "terminate_trainer", "kill_api",
]  # fmt: skip
LEAST_DISTURBANCES, LEAST_KINDS = 6, 4


@pytest.fixture
def own_stack(root: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack that nobody else needs."""
    running = start(root, tmp_path / "home")
    try:
        register_tiny(running)
        upload(running)
        yield running
    finally:
        stop(running)


def test_disturbed_jobs_publish_the_bits_of_an_undisturbed_one(own_stack: Stack) -> None:
    seed = int(os.environ.get("AFINADOR_FAULTS_SEED", "5"))
    random, report = Random(seed), Report(seed)
    undisturbed = new_victim(own_stack, "undisturbed")
    assert undisturbed.wait(600)["status"] == "succeeded", undisturbed.messages()
    while sum(report.done.values()) < LEAST_DISTURBANCES or len(report.done) < LEAST_KINDS:
        victim = new_victim(own_stack, f"victim-{report.jobs}")
        disturb(victim, random.sample(KINDS, 4), random, report)
        victim.require_untouched(undisturbed)
        report.jobs += 1
        assert report.jobs < 6, f"hardly anything could be disturbed: {report.to_json()}"
