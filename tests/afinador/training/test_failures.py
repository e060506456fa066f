"""What people read when a run ended badly."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from afinador.errors import UnsupportedModelError
from afinador.training.failures import told
from afinador.training.job_file import LOCAL

RUN_FOLDER = Path("/srv/home/runs/ftjob-1")


def test_of_a_services_job_names_are_told_and_no_folders(make_spec: Any) -> None:
    base = make_spec().base_model.model_copy(update={"name": "tiny", "path": "/srv/models/tiny"})
    spec = make_spec().model_copy(update={"base_model": base})
    refused = UnsupportedModelError("config.json in /srv/models/tiny names no architecture.")
    assert told(refused, spec, RUN_FOLDER).message == "config.json in 'tiny' names no architecture."
    unforeseen = told(RuntimeError("no tensor in /srv/models/tiny/model.safetensors"), spec, RUN_FOLDER)
    assert "no tensor in model.safetensors" in unforeseen.message
    full = told(OSError(errno.ENOSPC, "No space", str(RUN_FOLDER / "final" / "model.safetensors")), spec, RUN_FOLDER)
    assert full.message.startswith("The disk is full: final/model.safetensors.")


def test_of_a_run_on_ones_own_machine_folders_are_told(make_spec: Any) -> None:
    spec = make_spec().model_copy(update={"job_id": LOCAL})
    refused = UnsupportedModelError(f"config.json in {spec.base_model.path} names no architecture.")
    assert spec.base_model.path in told(refused, spec, RUN_FOLDER).message
