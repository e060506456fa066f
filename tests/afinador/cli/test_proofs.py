"""``verify resume`` and ``reproduce`` without a service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def job_file(root: Path, tmp_path: Path, dataset: Path) -> Path:
    path = tmp_path / "job.yaml"
    request = {
        "base_model": str(root / "examples" / "base_model" / "model"),
        "dataset": dataset.name,
        "hyperparameters": {"epochs": 1, "batch_size": 4, "logging_steps": 1, "max_length": 64},
    }
    path.write_text(json.dumps(request))
    return path


@pytest.mark.usefixtures("in_this_process")
def test_resume_is_verified_from_a_job_file(afinador: Run, job_file: Path, tmp_path: Path) -> None:
    ran = afinador("verify", "resume", job_file, "-steps", "2", "--output", tmp_path / "proof")
    assert ran.code == 0, ran.err
    assert "yes, to the bit" in ran.out and "training_state/optimizer.safetensors" in ran.out
    certificate = json.loads((tmp_path / "proof" / "certificate.json").read_text())
    assert (certificate["equal"], certificate["steps"], certificate["resumed_after"]) == (True, 2, 1)
    again = afinador("verify", "resume", job_file, "--output", tmp_path / "proof")
    assert again.code == 2 and "is not empty" in again.err


@pytest.mark.usefixtures("in_this_process")
def test_finished_run_is_reproduced_until_its_weights_are_others(afinador: Run, job_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert afinador("train", job_file, "--output", run).code == 0
    weights = run / "final" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ran = afinador("reproduce", run, "--output", tmp_path / "again", "--json")
    certificate = json.loads(ran.out)
    assert ran.code == 1 and not certificate["equal"]
    assert certificate["environment_differences"] == ""
    assert certificate["expected"] != certificate["found"]


def test_what_is_no_job_file_or_finished_run_is_refused(afinador: Run, dataset: Path, tmp_path: Path) -> None:
    ran = afinador("verify", "resume", dataset)
    assert ran.code == 2 and "no job file" in ran.err
    ran = afinador("reproduce", tmp_path)
    assert ran.code == 2 and "spec.json" in ran.err
    ran = afinador("verify", "resume", dataset, "--steps", "none")
    assert ran.code == 2 and "whole number" in ran.err


def test_a_job_of_the_service_is_proved_there(
    online: Run, service: Any, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from registry import certificates
    from registry.ledger.tables import Certificate
    from registry.prefect_runs import certificate_runs

    said = [True, False]

    def make(memory: Any) -> int:
        """Stand for Prefect and the flow."""
        with memory.database.session() as session:
            mine = (Certificate.status == "queued", Certificate.organization_id == service.organization_id)
            for row in session.query(Certificate).where(*mine):
                document = {
                    "type": "resume", "equal": said.pop(0), "steps": row.steps, "resumed_after": 3, "hashes": {"a": {}},
                    "first_difference": None, "environment_differences": "", "seed": 1,
                    "base_model": {"name": "tiny", "sha256": "0"}, "training_file": {"name": "orders", "sha256": "1"},
                }  # fmt: skip
                certificates.finish(session, row.id, "succeeded", document=document)
        return 1

    monkeypatch.setattr(certificate_runs, "submit_waiting", make)
    ran = online("verify", "resume", "mine", "--steps", "6")
    assert ran.code == 0 and "yes, to the bit" in ran.out and "is queued" in ran.err
    ran = online("verify", "resume", job["id"], "--json")
    assert ran.code == 1 and json.loads(ran.out)["equal"] is False
    ran = online("reproduce", "mine")
    assert ran.code == 1 and "only a published one" in ran.err
    ran = online("verify", "resume", "nobody")
    assert ran.code == 3
    ran = online("verify", "resume", "mine", "--output", "here")
    assert ran.code == 2 and "--output is for proofs that are made here" in ran.err
