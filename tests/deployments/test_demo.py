"""What the demo says at its end."""

from __future__ import annotations

import json
import shlex

from deployments.demo import by_hand


def test_lines_to_do_it_by_hand_hold_what_the_request_gave() -> None:
    job = {
        "model": "tiny",
        "training_file": "file-1",
        "seed": 7,
        "spec": {
            "sources": {"seed": "request", "epochs": "request", "batch_size": "default"},
            "hyperparameters": {"epochs": 4, "batch_size": 32},
        },
    }
    text = by_hand(job, "http://127.0.0.1:8000")
    words = shlex.split(text[text.index("curl") : text.index("and with")])
    expected = {"model": "tiny", "training_file": "file-1", "seed": 7, "hyperparameters": {"epochs": 4}}
    assert json.loads(words[words.index("-d") + 1]) == expected
    call = text[text.index("client.fine_tuning") :]
    made: list[dict[str, object]] = []
    exec(call.replace("client.fine_tuning.jobs.create", "create"), {"create": lambda **given: made.append(given)})
    assert made == [expected]
