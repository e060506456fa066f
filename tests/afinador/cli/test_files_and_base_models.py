"""Commands for data files and base models, against a real service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_files_are_uploaded_checked_fetched_and_deleted(online: Run, dataset: Path, elsewhere: Path) -> None:
    ran = online("create", "file", dataset)
    file_id = ran.out.strip()
    assert ran.code == 0 and file_id.startswith("file-")
    shown = online("get", "file", file_id).out
    assert "processed" in shown and "12" in shown
    assert online("get", "file", file_id, "--download", elsewhere).code == 0
    assert (elsewhere / "orders.jsonl").read_bytes() == dataset.read_bytes()
    assert online("delete", "file", file_id).out == f"Deleted file {file_id}.\n"
    assert online("get", "file", file_id).code == 3


def test_a_file_that_cannot_be_trained_on_is_exit_code_1(online: Run, dataset: Path) -> None:
    dataset.write_text('{"text": "a"\n')
    ran = online("create", "file", dataset, "--json")
    assert ran.code == 1 and json.loads(ran.out)["status"] == "error"
    assert "cannot be trained on: " in ran.err and "ine 1" in ran.err


def test_what_is_doubtful_about_a_file_is_told_with_the_command_that_shows_it(
    online: Run, dataset: Path, elsewhere: Path
) -> None:
    dataset.write_text(dataset.read_text() * 2)
    ran = online("create", "file", dataset)
    file_id = ran.out.strip()
    said = f"12 warnings, see: afinador validate dataset {file_id}"
    assert f"orders.jsonl: {said}" in ran.err
    assert said in online("get", "file", file_id).out
    shown = online("validate", "dataset", file_id)
    assert shown.code == 0 and "warning duplicate ×12" in shown.out, shown
    ran = online("validate", "dataset", file_id, "--encoding", "latin-1")
    assert ran.code == 2 and "was declared at its upload" in ran.err
    ran = online("create", "file", dataset, "--purpose", "evals")
    assert ran.code == 0 and "see: afinador validate" not in ran.err, "which is refused for what is no data set"
    folder = elsewhere / "parts"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    ran = online("create", "file", folder)
    said = "1 of 2 data files are not read, for they belong to other splits or configs: 'test.jsonl'."
    assert f"parts.tar: {said} To read all splits declare --split all" in ran.err
    assert "other splits" in online("get", "file", ran.out.strip()).out


def test_base_models_come_and_go(online: Run, service: Any, elsewhere: Path) -> None:
    folder = service.models / service.organization
    (elsewhere / "link").symlink_to(folder)
    ran = online("create", "base-model", "second", "-source", "link", "--json")
    assert ran.code == 0 and json.loads(ran.out)["status"] == "ready", ran.err
    assert "LlamaForCausalLM" in online("get", "base-model", "second").out
    assert "second" in online("list", "base-models").out
    assert online("delete", "base-model", "second").code == 0
    assert online("get", "base-model", "second").code == 3


def test_a_base_model_that_no_job_can_use_says_so_in_the_list(online: Run, service: Any) -> None:
    folder = service.models / f"{service.organization}-t5"
    shutil.copytree(service.models / service.organization, folder)
    (folder / "config.json").write_text('{"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}')
    assert online("create", "base-model", "encoder-decoder", "-source", folder).code == 0
    lines = online("list", "base-model").out.splitlines()
    (usable, other) = (next(line for line in lines if line.startswith(name)) for name in ("tiny", "encoder-decoder"))
    assert "ready, but no job can use it yet" in other and "no job" not in usable and " ready " in usable


def test_a_data_set_that_is_gone_is_named_by_what_is_known(online: Run) -> None:
    from afinador.cli.files import named
    from afinador.cli.service import connect

    with connect() as connection:
        assert named(connection, "file-gone", "orders.jsonl") == "orders.jsonl (deleted)"
        assert named(connection, "file-gone") == "file-gone (deleted)"


def test_a_folder_of_a_base_model_is_looked_for_where_the_command_runs(
    online: Run, service: Any, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = online("create", "base-model", "second", "--source", "no/model")
    assert ran.code == 3 and f"there is no such folder ({elsewhere / 'no/model'})" in ran.err
    monkeypatch.setenv("HOME", str(service.models))
    ran = online("create", "base-model", "second", "--source", f"~/{service.organization}")
    assert ran.code == 0, ran.err


def test_a_folder_that_the_service_may_not_read_is_uploaded(online: Run, service: Any, elsewhere: Path) -> None:
    outside = elsewhere / "outside"
    shutil.copytree(service.models / service.organization, outside)
    (outside / "pytorch_model.bin").write_bytes(b"pickle")
    (outside / "modeling_mine.py").write_text("raise SystemExit")
    ran = online("create", "base-model", "third", "--source", "outside", "--json")
    assert ran.code == 0, ran.err
    model = json.loads(ran.out)
    assert (model["status"], model["source"], model["bytes_done"]) == ("ready", "upload", model["bytes"])
    assert "Left out: pytorch_model.bin (this form of weights can run code when it is read)." in ran.err
    assert "Left out: modeling_mine.py (a model's own code is never run)." in ran.err
    in_place = online("get", "base-model", "tiny", "--json")
    assert json.loads(in_place.out)["sha256"] == model["sha256"], "where the bytes came from makes no difference"
    assert online("create", "job", "-basemodel", "third", "-dataset", "nothing").code == 3, "only the data are missing"


def test_a_folder_without_safetensors_is_refused_before_it_is_sent(online: Run, service: Any, elsewhere: Path) -> None:
    shutil.copytree(service.models / service.organization, elsewhere / "old")
    (elsewhere / "old" / "model.safetensors").rename(elsewhere / "old" / "pytorch_model.bin")
    ran = online("create", "base-model", "old", "--source", "old")
    assert ran.code == 1 and "pytorch_model.bin" in ran.err and "save_pretrained" in ran.err
    assert online("get", "base-model", "old").code == 3
