"""Folders of this machine as base models, against a real service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from afinador import Afinador
from afinador.client import model_uploads
from afinador.client.asynchronous import model_uploads as asynchronous_uploads
from afinador.errors import InvalidRequestError, ModelTooLargeError, NotFoundError, UnsupportedModelError


def patch(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    """Change what both clients use."""
    for module in (model_uploads, asynchronous_uploads):
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def folder(service: Any, tmp_path: Path) -> Path:
    """A model outside of the service's roots."""
    return Path(shutil.copytree(service.models / service.organization, tmp_path / "outside"))


def test_a_folder_below_the_roots_is_used_in_place(client: Afinador, service: Any) -> None:
    sent: list[int] = []
    place = service.models / service.organization
    made = client.models.create("in-place", place, on_progress=lambda done, total: sent.append(done))
    assert client.models.wait(made.id).status == "ready"
    assert (made.source, sent) == ("folder", [])


def test_another_folder_is_sent_and_an_upload_that_broke_off_goes_on(
    client: Afinador, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch, "PART_BYTES", 50)
    total = sum(path.stat().st_size for path in folder.iterdir())

    def break_off(done_bytes: int, total_bytes: int) -> None:
        if done_bytes > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.models.create("mine", folder, on_progress=break_off)
    half = client.models.get("mine")
    assert (half.status, half.bytes) == ("uploading", total) and total / 2 < (half.bytes_done or 0) < total
    seen: list[int] = []
    made = client.models.create("mine", folder, on_progress=lambda done, total_bytes: seen.append(done))
    assert made.model_dump()["source"] == "upload"
    assert seen[0] > total / 2 and seen[-1] == total, "what was there is not sent again"
    assert client.models.wait("mine").status == "ready"


def test_what_cannot_be_used_is_refused_before_the_service_hears_of_it(client: Afinador, folder: Path) -> None:
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("{", '{"auto_map": {"AutoModel": "x.X"}, ', 1))
    with pytest.raises(UnsupportedModelError, match="never run"):
        client.models.create("mine", folder)
    (folder / "config.json").write_text(config)
    size = 2 * 15_000_000_001
    header = f'{{"a": {{"dtype": "BF16", "shape": [15000000001], "data_offsets": [0, {size}]}}}}'.encode()
    with (folder / "model.safetensors").open("wb") as stream:  # sparse: it takes no space
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + size)
    with pytest.raises(ModelTooLargeError, match="15"):
        client.models.create("mine", folder)
    with pytest.raises(NotFoundError):
        client.models.get("mine")


def test_a_file_that_changed_while_it_was_sent_is_noticed(client: Afinador, folder: Path) -> None:
    last = folder / "tokenizer_config.json"

    def change(done_bytes: int, total_bytes: int) -> None:
        last.write_text(last.read_text().replace("Fast", "Slow"))

    client.models.create("mine", folder, on_progress=change)
    ended = client.models.wait("mine")
    assert ended.status == "error"
    assert "tokenizer_config.json arrived with other bytes" in (ended.status_details or "")


def test_a_lost_answer_to_the_last_piece_does_no_harm(
    client: Afinador, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = client.connection.json

    def twice(call: Any, *needed: str) -> dict[str, Any]:
        if call.method == "PUT":
            send(call, *needed)  # its answer is lost, and the call repeated
        return send(call, *needed)

    monkeypatch.setattr(client.connection, "json", twice)
    client.models.create("mine", folder)
    assert client.models.wait("mine").status == "ready"


def test_a_service_that_takes_nothing_is_heard(client: Afinador, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch, "_pieces", lambda file, offset: [(offset + 7, b"x")])
    with pytest.raises(InvalidRequestError, match="go on from 0"):
        client.models.create("mine", folder)
