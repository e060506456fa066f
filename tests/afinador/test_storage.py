"""The small door to the bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from afinador.errors import InsufficientStorageError, NotFoundError, StorageError
from afinador.storage import Storage, require_free_space


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path / 'store'}")


def test_bytes_come_back_as_they_went_in(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(bytes(range(256)) * 9000)
    storage.put_file(source, "acme/files/a.bin")
    storage.get_file("acme/files/a.bin", tmp_path / "deep" / "b.bin")
    assert (tmp_path / "deep" / "b.bin").read_bytes() == source.read_bytes()
    assert b"".join(storage.chunks("acme/files/a.bin")) == source.read_bytes()


def test_folders_keep_their_shape(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "one").write_text("1")
    (tmp_path / "in" / "sub" / "two").write_text("2")
    storage.put_folder(tmp_path / "in", "acme/hub/x/1")
    assert storage.list("acme/hub/x/1") == ["acme/hub/x/1/one", "acme/hub/x/1/sub/two"]
    storage.get_file("acme/hub/x/1/sub/two", tmp_path / "two")
    assert (tmp_path / "two").read_text() == "2"


def test_deleting_removes_all_below_and_nothing_beside(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_text("x")
    for key in ("org/a/1", "org/a/2", "org/ab/1"):
        storage.put_file(source, key)
    storage.delete("org/a")
    assert storage.list("org") == ["org/ab/1"]
    storage.delete("org/a")


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/etc/passwd", ""])
def test_keys_never_lead_outside(storage: Storage, key: str) -> None:
    with pytest.raises(StorageError):
        storage.uri(key)
    with pytest.raises(StorageError):
        storage.delete(key)


def test_missing_key_is_named(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="acme/nothing"):
        storage.get_file("acme/nothing", tmp_path / "x")
    assert not storage.exists("acme/nothing")


def test_full_disk_is_refused_before_writing(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 10**6))
    source = tmp_path / "a"
    source.write_text("x")
    with pytest.raises(InsufficientStorageError, match="are free"):
        storage.put_file(source, "a")
    assert not storage.exists("a")
    with pytest.raises(InsufficientStorageError, match="A checkpoint needs 5 MB"):
        require_free_space(tmp_path / "not" / "yet", 5_000_000, "A checkpoint")


def test_where_bytes_lie_is_told_to_the_log_alone(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store" / "acme").mkdir(parents=True)
    (tmp_path / "store" / "acme" / "jobs").write_text("in the way")
    source = tmp_path / "log.txt"
    source.write_text("x")
    for fail in (
        lambda: storage.put_file(source, "acme/jobs/1/log.txt"),
        lambda: storage.open("acme/jobs/1/log.txt"),
        lambda: storage.get_file("acme/none", tmp_path / "copy"),
        lambda: storage.move("acme/jobs", "acme/jobs/2"),
    ):
        with pytest.raises((StorageError, NotFoundError), match="acme/") as caught:
            fail()
        assert str(tmp_path) not in caught.value.message and "file://" not in caught.value.message
    assert "Not a directory" in caplog.text and str(tmp_path) in caplog.text


def test_unwritable_storage_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        Storage(f"file://{tmp_path / 'file'}").check()
