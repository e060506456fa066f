"""What ``get fine-tuning-job`` tells of times."""

from __future__ import annotations

from afinador.cli import render, watching
from afinador.cli.job_details import _times


def test_waits_phases_and_epochs_are_told_apart() -> None:
    times = {
        "queue_seconds": 75.0,
        "paused_seconds": 0.0,
        "phase_seconds": {"loading": 4.2, "training": 130.0},
        "seconds_per_epoch": [64.6, 65.4],
    }
    told = {name: value for name, value in _times(times) if value}
    assert told == {
        "in the queue": "1 min 15 s",
        "phases": "loading 4 s, training 2 min 10 s",
        "epochs": "1 min 05 s, 1 min 05 s",
    }


def test_how_far_a_measuring_is_is_told_while_one_goes_on() -> None:
    at = {"model": "tuned", "what": "answers", "done": 3, "total": 50}
    assert render.measuring({"measuring": at}) == "tuned model, 3 of 50 answers"
    assert render.measuring({"measuring": None}) == render.measuring({}) == ""
    job = {"status": "running", "progress": {"state": "evaluating", "step": 9, "steps": 9, "measuring": at}}
    assert watching._figures(job) == "step 9/9, tuned model, 3 of 50 answers"
    assert watching._figures({**job, "status": "succeeded"}) == "step 9/9"


def test_a_status_tells_place_and_want_of_a_worker() -> None:
    job = {"status": "queued", "queue_position": None, "waiting_for": None}
    assert render.status(job) == "queued"
    assert render.status({**job, "queue_position": 1}) == "queued (next)"
    waits = {**job, "waiting_for": "Waiting: no worker of the work pool 'gpu' is online."}
    assert render.status(waits) == "queued (no worker online)"
    assert render.status({**waits, "queue_position": 3}) == "queued (position 3, no worker online)"
