"""Jobs that are disturbed in earnest, and end with the bits of one that was left in peace. ``run.py`` does it for longer."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.faults.run import Report, disturb, new_victim, upload
from tests.faults.victim import Victim
from tests.integration.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KINDS = [
    "kill_trainer", "kill_flow", "kill_everything", "pause_and_resume", "tear_checkpoint", "kill_worker",
    "terminate_trainer", "kill_api",
]  # fmt: skip
LEAST_DISTURBANCES, LEAST_KINDS = 6, 4
MOST_SECONDS_BETWEEN = 1.0
"""Of some 120 steps, there are fewer after each."""


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Victim:
    """A job like all others here that was left in peace."""
    upload(stack)
    job = new_victim(stack, "undisturbed")
    assert job.wait(600)["status"] == "succeeded", job.messages()
    return job


def test_disturbed_jobs_publish_the_bits_of_an_undisturbed_one(stack: Stack, undisturbed: Victim) -> None:
    seed = int(os.environ.get("AFINADOR_FAULTS_SEED", "5"))
    random, report = Random(seed), Report(seed)
    while not was_enough(report):
        victim = new_victim(stack, f"victim-{report.jobs}")
        victim.await_training(120)  # before it, there is often nothing to disturb; the long form does it all the same
        for kind in random.sample(KINDS, len(KINDS)):
            if not was_enough(report):
                disturb(victim, [kind], random, report, most_seconds_between=MOST_SECONDS_BETWEEN)
        victim.require_untouched(undisturbed)
        report.jobs += 1
        assert report.jobs < 6, f"hardly anything could be disturbed: {report.to_json()}"


def was_enough(report: Report) -> bool:
    return sum(report.done.values()) >= LEAST_DISTURBANCES and len(report.done) >= LEAST_KINDS


def test_a_cancelled_job_goes_on_as_a_new_one_to_the_bits_of_an_undisturbed_one(
    stack: Stack, undisturbed: Victim
) -> None:
    victim = new_victim(stack, "broken-off")
    victim.await_training(120)
    assert victim.post("cancel").is_success
    assert victim.wait(120)["status"] == "cancelled" and victim.trainer() is None
    assert victim.post("cancel").status_code == 200
    with stack.http() as http:
        assert http.get("/hub/adapters/broken-off").status_code == 404
    (kept,) = victim.get(f"/fine_tuning/jobs/{victim.id}/checkpoints", limit=1)["data"]
    steps = victim.job()["progress"]["steps"]
    assert 0 < kept["step_number"] < steps
    victim.go_on_as_another_job()
    victim.require_untouched(undisturbed)
    said = victim.all_messages()
    assert any(kept["fine_tuned_model_checkpoint"] in message for message in said)
    assert any(f"goes on after step {kept['step_number']} of {steps}, exactly" in message for message in said)
    trained = [row["step"] for row in victim.get(f"/fine_tuning/jobs/{victim.id}/metrics")["data"]]
    assert min(trained) > kept["step_number"] and max(trained) == steps
