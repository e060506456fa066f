"""Hostile files through the doors of the API: an answer each time, never a 500, and the verdict that reading gives."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from afinador.data.validation import validate_dataset

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(600)]


def test_hostile_files_are_answered_by_each_route(member, base_model, shared_data: Path) -> None:
    folder = shared_data / "pathological" / "derived"
    names = [row["file"] for row in csv.DictReader((folder / "index.csv").open(newline=""))]
    assert len(names) > 100
    uploaded = {}
    for name in names:
        file = (name, (folder / name).read_bytes())
        answer = member.http.post("/v1/files", files={"file": file}, data={"purpose": "fine-tune"})
        assert answer.status_code in (200, 400), (name, answer.text)
        if answer.is_success:
            uploaded[name] = answer.json()["id"]
        else:
            assert name in answer.json()["error"]["message"], answer.text
    assert len(uploaded) > 100
    for name, file_id in uploaded.items():
        expected = validate_dataset(folder / name, name)
        kept = member.wait(f"/v1/files/{file_id}", lambda file: file["status"] != "uploaded", seconds=120)
        assert kept["status"] == ("processed" if expected.is_valid else "error"), kept
        report = member.http.post("/v1/datasets/validate", json={"file": file_id, "task": "causal_lm"})
        assert report.status_code == (200 if expected.is_valid else 422), (name, report.text)
        assert (report.json()["valid"], report.json()["counts"]) == (expected.is_valid, expected.counts), name
        body = {"file": file_id, "base_model": base_model, "records": 3}
        preview = member.http.post("/v1/datasets/preview", json=body)
        assert preview.status_code in ((200,) if expected.is_valid else (200, 400)), (name, preview.text)
        assert "Traceback" not in report.text + preview.text, name
