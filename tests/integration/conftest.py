"""A small data set, and a job that has ended, for the tests of this folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack import Stack


@pytest.fixture(scope="session")
def quick(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small training and a small validation file, cut from the examples."""
    folder = tmp_path_factory.mktemp("quick")
    for name, rows in (("train", 48), ("validation", 8)):
        lines = (root / "examples" / "data" / f"{name}.jsonl").read_text().splitlines()[:rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "train.jsonl", folder / "validation.jsonl"


@pytest.fixture(scope="package")
def finished_job(stack: Stack, quick: tuple[Path, Path]) -> Any:
    """A job made, waited for and retrieved with the official client."""
    client = stack.openai()
    uploaded = [client.files.create(file=path.open("rb"), purpose="fine-tune") for path in quick]
    made = client.fine_tuning.jobs.create(
        training_file=uploaded[0].id,
        validation_file=uploaded[1].id,
        model="tiny",
        suffix="orders",
        seed=7,
        hyperparameters={"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 10},
        extra_body={"config": {"save_steps": 5, "logging_steps": 1, "eval_steps": 6}},
    )
    assert made.status in ("validating_files", "queued")
    while client.fine_tuning.jobs.retrieve(made.id).status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.5)
    done = client.fine_tuning.jobs.retrieve(made.id)
    assert done.status == "succeeded", (done.error, stack.messages(made.id))
    return done
