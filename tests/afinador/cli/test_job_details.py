"""What ``get fine-tuning-job`` tells of times."""

from __future__ import annotations

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
