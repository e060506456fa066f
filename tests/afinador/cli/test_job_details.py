"""What ``get fine-tuning-job`` tells of times."""

from __future__ import annotations

from afinador.cli import render
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


def test_a_status_tells_place_and_want_of_a_worker() -> None:
    job = {"status": "queued", "queue_position": None, "waiting_for": None}
    assert render.status(job) == "queued"
    assert render.status({**job, "queue_position": 1}) == "queued (next)"
    waits = {**job, "waiting_for": "Waiting: no worker of the work pool 'gpu' is online."}
    assert render.status(waits) == "queued (no worker online)"
    assert render.status({**waits, "queue_position": 3}) == "queued (position 3, no worker online)"
