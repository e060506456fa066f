"""Commands on saved job specs, against a real service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_saved_spec_is_made_of_a_file_and_starts_jobs(online: Run, dataset: Path, elsewhere: Path) -> None:
    request = elsewhere / "job.yaml"
    request.write_text(f"base_model: tiny\ndataset: {dataset}\noutput_model: bot\nwarmup_steps: 7\nepochs: 2\n")
    saved = online("create", "job-spec", "nightly", request)
    assert (saved.code, saved.out) == (0, "nightly\n"), saved.err
    assert "Uploaded" in saved.err and "--spec nightly" in saved.err
    assert online("create", "spec", "nightly", request, "--no-retrain").code == 1
    listed = online("list", "job-specs")
    assert "nightly" in listed.out and dataset.name in listed.out
    shown = json.loads(online("get", "job-spec", "nightly", "--json").out)
    assert shown["request"]["training_file"] == dataset.name, "by name, for the newest version each time"
    assert shown["request"]["config"] == {"warmup_steps": 7, "epochs": 2} and shown["retrain_on_update"] is True
    assert "on a new version" in online("get", "spec", "nightly").out
    job = json.loads(online("create", "job", "--spec", "nightly", "-epochs", "3", "--json").out)
    assert (job["output_model"], job["hyperparameters"]["epochs"]) == ("bot", 3)
    assert job["spec"]["hyperparameters"]["warmup_steps"] == 7
    assert job["job_spec"] == "nightly"
    unknown = online("create", "job", "--spec", "nigthly")
    assert unknown.code == 3 and "`afinador list job-spec` shows what it has. Did you mean 'nightly'?" in unknown.err
    (elsewhere / dataset.name).write_text("what lies here is not what the spec names")
    again = online("create", "job", "--spec", "nightly", "--json")
    assert again.code == 0 and "ploaded" not in again.err, again.err
    assert json.loads(again.out)["training_file"] == job["training_file"]
    (elsewhere / dataset.name).unlink()
    request.write_text(
        f"base_model: tiny\ndataset: {dataset}\nhyperparameters: {{n_epochs: 2, learning_rate_multiplier: 2}}\n"
    )
    assert online("create", "job-spec", "other", request).code == 0
    ran = online("create", "job", "--spec", "other", "-epochs", "3", "-learning-rate", "1e-4", "--json")
    assert ran.code == 0, ran.err
    given = json.loads(ran.out)["spec"]["hyperparameters"]
    assert (given["epochs"], given["learning_rate"]) == (3, 1e-4)
    assert online("delete", "job-spec", "nightly").out == "Deleted job spec nightly.\n"
    assert online("get", "job-spec", "nightly").code == 3


@pytest.mark.parametrize(
    ("name", "request_text", "words"),
    [
        ("a name", "base_model: tiny", "name"),
        ("nightly", "base_model: none", "Registered are: tiny."),
        ("nightly", "base_model: tiny\nhyperparameters: {epochs: 99}", "from 1 to 10"),
        ("taken", "base_model: tiny", "There is a job spec 'taken' already"),
        ("nightly", "base_model: tiny\nvalidation_dataset: nowhere", "'nowhere'"),
    ],
)
def test_data_are_uploaded_for_a_spec_only_when_all_else_is_in_order(
    online: Run, dataset: Path, elsewhere: Path, name: str, request_text: str, words: str
) -> None:
    request, other = elsewhere / "job.yaml", dataset.with_name("other.jsonl")
    other.write_text(dataset.read_text())
    request.write_text(f"base_model: tiny\ndataset: {other}\n")
    assert online("create", "job-spec", "taken", request).code == 0
    request.write_text(f"{request_text}\ndataset: {dataset}\n")
    refused = online("create", "job-spec", name, request)
    assert refused.code != 0 and words in refused.err, refused.err
    assert "ploaded" not in refused.err and "Deleted" not in refused.err
    kept = json.loads(online("list", "file", "--json").out)["data"]
    assert [file["filename"] for file in kept] == ["other.jsonl"]


def test_what_was_uploaded_for_a_spec_that_is_refused_then_is_deleted_again(
    online: Run, dataset: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afinador.client.uploads.check_job_spec", lambda *_: None)
    request = elsewhere / "job.yaml"
    request.write_text(f"base_model: none\ndataset: {dataset}\n")
    refused = online("create", "job-spec", "nightly", request)
    assert "Deleted again, for no spec came of it: file-" in refused.err


@pytest.mark.parametrize("option", ["dataset", "validation-dataset"])
def test_data_that_are_gone_are_said_to_be_what_the_saved_spec_names(
    online: Run, dataset: Path, elsewhere: Path, option: str
) -> None:
    request, gone = elsewhere / "job.yaml", dataset.with_name("gone.jsonl")
    gone.write_text(dataset.read_text())
    assert online("create", "file", gone).code == online("create", "file", dataset).code == 0
    named = {"dataset": dataset.name, "validation-dataset": dataset.name, option: gone.name}
    request.write_text("base_model: tiny\n" + "".join(f"{key.replace('-', '_')}: {named[key]}\n" for key in named))
    assert online("create", "job-spec", "nightly", request).code == 0
    assert online("delete", "file", gone.name).code == 0
    refused = online("create", "job", "--spec", "nightly")
    assert refused.code == 3 and "saved spec 'nightly' cannot be run: There is no" in refused.err, refused.err
    assert "'gone.jsonl'" in refused.err
    assert f"give another one with -{option}" in refused.err
    given = online("create", "job", "--spec", "nightly", f"-{option}", "nowhere.jsonl")
    assert given.code == 3 and f"-{option} 'nowhere.jsonl' is neither a file" in given.err
