"""Base models whose files are sent: whole or in pieces, checked, and never half registered."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from afinador.storage import FREE_MARGIN_BYTES
from registry.ledger.tables import BaseModel
from registry.models import base_model_uploads
from registry.models.base_models import complete


@pytest.fixture
def files(running: Any, public_base_model: str) -> dict[str, bytes]:
    """The files of a tiny model."""
    return {path.name: path.read_bytes() for path in (running.models / "tiny").iterdir()}


def announcement(files: dict[str, bytes], **changed: Any) -> dict[str, Any]:
    named = [
        {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    return {"name": "acme/mine", "files": named} | changed


def begin(member: Any, files: dict[str, bytes]) -> dict[str, Any]:
    answer = member.http.post("/v1/models", json=announcement(files))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "uploading"
    return answer.json()


def send(member: Any, model: dict[str, Any], path: str, content: bytes, offset: int = 0) -> Any:
    return member.http.put(f"/v1/models/{model['model_id']}/files/{path}", params={"offset": offset}, content=content)


def refused(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def settled(member: Any) -> dict[str, Any]:
    return dict(member.wait("/v1/models/acme/mine", lambda model: model["status"] in ("ready", "error")))


def done(model: dict[str, Any]) -> dict[str, int]:
    return {file["path"]: file["bytes_done"] for file in model["files"]}


def test_a_model_is_ready_when_its_last_file_has_come(member: Any, files: dict[str, bytes], running: Any) -> None:
    model = begin(member, files)
    assert (model["bytes"], model["bytes_done"]) == (sum(map(len, files.values())), 0)
    body = {"model": "acme/mine", "training_file": member.upload()["id"]}
    assert "still being registered (uploading)" in refused(member.http.post("/v1/fine_tuning/jobs", json=body))
    for path, content in files.items():
        answer = send(member, model, path, content).json()
        assert done(answer)[path] == len(content)
    assert answer["status"] == "registering"
    ready = settled(member)
    assert (ready["status"], ready["parameters"], ready["origin"], ready["source"]) == ("ready", 16, "local", "upload")
    folder = running.memory.settings.home / "base-models" / model["model_id"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert {model["files"] for model in member.http.get("/v1/models").json()["data"]} == {None}, "lists stay short"
    assert member.http.delete("/v1/models/acme/mine").status_code == 200
    assert not folder.exists()


def test_a_file_goes_on_where_it_broke_off(member: Any, files: dict[str, bytes]) -> None:
    model = begin(member, files)
    weights = files["model.safetensors"]
    for path in files.keys() - {"model.safetensors"}:
        send(member, model, path, files[path])
    assert done(send(member, model, "model.safetensors", weights[:40]).json())["model.safetensors"] == 40
    again = begin(member, files)
    assert again["model_id"] == model["model_id"], "the same announcement is the same upload"
    assert done(again)["model.safetensors"] == 40
    assert "go on from 40" in refused(send(member, model, "model.safetensors", weights[60:], 60))
    assert done(send(member, model, "model.safetensors", b"wrong" * 4, 40).json())["model.safetensors"] == 60
    assert send(member, model, "model.safetensors", weights[40:], 40).json()["status"] == "registering"
    assert settled(member)["status"] == "ready"
    assert "are not being sent: it is 'ready'" in refused(send(member, model, "model.safetensors", weights))


def test_other_bytes_than_announced_end_in_error_and_leave_nothing(
    member: Any, files: dict[str, bytes], running: Any
) -> None:
    model = begin(member, files)
    for path, content in files.items():
        send(member, model, path, content if path != "model.safetensors" else content[:-1] + b"\x01")
    ended = settled(member)
    assert ended["status"] == "error" and "model.safetensors arrived with other bytes" in ended["status_details"]
    end = time.monotonic() + 10
    while (
        running.memory.settings.home / "base-models" / model["model_id"]
    ).exists():  # removed once the reason is told
        assert time.monotonic() < end
        time.sleep(0.05)


def test_more_bytes_than_announced_are_refused(member: Any, files: dict[str, bytes]) -> None:
    model = begin(member, files)
    message = refused(send(member, model, "config.json", files["config.json"] + b"\n"), 413)
    assert f"announced with {len(files['config.json'])} bytes" in message


@pytest.mark.parametrize(
    "path",
    ["../config.json", "/etc/passwd", "a/config.json", "model.bin", "modeling.py", ".env", "x.safetensors\n", "..", ""],
)
def test_names_that_are_no_files_of_a_model_are_refused(member: Any, files: dict[str, bytes], path: str) -> None:
    body = announcement({**files, path: b"x"})
    assert refused(member.http.post("/v1/models", json=body)).startswith("files")
    assert member.http.get("/v1/models/acme/mine").status_code == 404


def test_only_announced_files_are_taken(member: Any, files: dict[str, bytes]) -> None:
    model = begin(member, files)
    for path in ("other.json", "..%2fconfig.json", "%2e%2e/%2e%2e/ledger.db", "config.json.part"):
        assert send(member, model, path, b"x").status_code == 404


def test_sizes_are_limited(member: Any, files: dict[str, bytes], running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = announcement(files)
    huge["files"][0]["bytes"] = base_model_uploads.MAX_BYTES + 1
    assert "at most 64 GB" in refused(member.http.post("/v1/models", json=huge), 413)
    many = announcement({f"a{number}.json": b"" for number in range(501)})
    assert "1 to 500" in refused(member.http.post("/v1/models", json=many))
    assert "1 to 500" in refused(member.http.post("/v1/models", json=announcement({})))
    model = begin(member, files)
    full = type("Usage", (), {"free": FREE_MARGIN_BYTES})
    monkeypatch.setattr("afinador.storage.shutil.disk_usage", lambda _: full)
    assert "Free some space" in refused(send(member, model, "config.json", files["config.json"]), 507)
    fits_not = announcement(files, name="another")
    assert "Free some space" in refused(member.http.post("/v1/models", json=fits_not), 507)


def test_an_upload_is_its_organizations_own(member: Any, new_member: Any, files: dict[str, bytes]) -> None:
    model, other = begin(member, files), new_member()
    assert "no base model with the id" in refused(send(other, model, "config.json", files["config.json"]), 404)
    assert begin(other, files)["model_id"] != model["model_id"]


def test_another_model_of_the_name_is_refused_while_one_is_sent(member: Any, files: dict[str, bytes]) -> None:
    begin(member, files)
    changed = announcement({**files, "config.json": b"{}"})
    assert "has not ended" in refused(member.http.post("/v1/models", json=changed))


def test_source_and_files_exclude_each_other(member: Any, files: dict[str, bytes], running: Any) -> None:
    both = announcement(files, source=str(running.models / "tiny"))
    assert "Give either source" in refused(member.http.post("/v1/models", json=both))
    wrong = announcement(files)
    wrong["files"][0]["sha256"] = "x"
    assert "64 hexadecimal digits" in refused(member.http.post("/v1/models", json=wrong))


def test_what_another_organization_sent_cannot_be_registered_as_a_folder(
    member: Any, new_member: Any, files: dict[str, bytes], running: Any
) -> None:
    model = begin(member, files)
    for path, content in files.items():
        send(member, model, path, content)
    assert settled(member)["status"] == "ready"
    folder = running.memory.settings.home / "base-models" / model["model_id"]
    body = {"name": "stolen", "source": str(folder)}
    assert "lies outside" in refused(new_member().http.post("/v1/models", json=body), 403)


def test_an_upload_that_has_come_is_checked_after_a_restart(
    member: Any, files: dict[str, bytes], running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.service, "fetch_model", lambda model_id: None)  # the process died just then
    model = begin(member, files)
    for path, content in files.items():
        send(member, model, path, content)
    assert member.http.get("/v1/models/acme/mine").json()["status"] == "registering"
    complete(running.memory, model["model_id"])
    assert settled(member)["status"] == "ready"


def test_an_upload_of_which_nothing_comes_for_a_day_is_ended_and_leaves_nothing(
    member: Any, files: dict[str, bytes], running: Any
) -> None:
    abandoned, slow = begin(member, files), member.http.post("/v1/models", json=announcement(files, name="slow")).json()
    yesterday = time.time() - base_model_uploads.ABANDONED_AFTER_SECONDS - 60
    ids = (abandoned["model_id"], slow["model_id"])
    for id in ids:
        send(member, {"model_id": id}, "config.json", files["config.json"])
        send(member, {"model_id": id}, "model.safetensors", files["model.safetensors"][:40])
    assert base_model_uploads.end_abandoned(running.memory) == 0
    with running.memory.database.session() as session:
        session.execute(update(BaseModel).where(BaseModel.id.in_(ids)).values(created_at=yesterday))
    folder = running.memory.settings.home / "base-models" / abandoned["model_id"]
    for path in (*folder.iterdir(), folder):
        os.utime(path, (yesterday, yesterday))
    assert base_model_uploads.end_abandoned(running.memory) == 1
    ended = settled(member)
    assert ended["status"] == "error" and "Nothing of it has come for 24 hours" in ended["status_details"]
    assert not folder.exists()
    assert "it is 'error'" in refused(send(member, abandoned, "model.safetensors", files["model.safetensors"][40:], 40))
    assert send(member, slow, "model.safetensors", files["model.safetensors"][40:], 40).status_code == 200


def test_a_key_is_needed(running: Any, member: Any, files: dict[str, bytes], tmp_path: Path) -> None:
    model = begin(member, files)
    with running.http(None) as nobody:
        assert nobody.put(f"/v1/models/{model['model_id']}/files/config.json", content=b"{}").status_code == 401
