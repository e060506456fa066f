"""Jobs that are disturbed in earnest, and end with the bits of one that was left in peace. ``run.py`` does it for longer."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.faults.run import Report, disturb, new_victim, upload
from tests.integration.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KINDS = [
    "kill_trainer", "kill_flow", "kill_everything", "pause_and_resume", "tear_checkpoint", "kill_worker",
    "terminate_trainer", "kill_api",
]  # fmt: skip
LEAST_DISTURBANCES, LEAST_KINDS, A_JOB = 6, 4, 6


def test_disturbed_jobs_publish_the_bits_of_an_undisturbed_one(stack: Stack) -> None:
    seed = int(os.environ.get("AFINADOR_FAULTS_SEED", "5"))
    random, report = Random(seed), Report(seed)
    upload(stack)
    undisturbed = new_victim(stack, "undisturbed")
    assert undisturbed.wait(600)["status"] == "succeeded", undisturbed.messages()
    while sum(report.done.values()) < LEAST_DISTURBANCES or len(report.done) < LEAST_KINDS:
        victim = new_victim(stack, f"victim-{report.jobs}")
        victim.await_training(120)  # before it, there is often nothing to disturb; the long form does it all the same
        disturb(victim, random.sample(KINDS, A_JOB), random, report)
        victim.require_untouched(undisturbed)
        report.jobs += 1
        assert report.jobs < 6, f"hardly anything could be disturbed: {report.to_json()}"
