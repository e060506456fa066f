"""Folders as archives: all that is in them, nothing else, or a word."""

import os
import tarfile
from pathlib import Path

import pytest

from afinador import packing
from afinador.errors import InvalidRequestError
from afinador.packing import pack_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "letters"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "b.jsonl").write_text("{}")
    (made / "a.jsonl").symlink_to("deep/b.jsonl")
    (made / ".hidden").mkdir()
    (made / ".hidden" / "c.jsonl").symlink_to("/etc/hostname")
    return made


def test_links_are_packed_only_where_they_lead_into_the_folder(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(pack_folder(folder, tmp_path)) as archive:
        assert archive.getnames() == ["a.jsonl", "deep/b.jsonl"]
    (tmp_path / "secret.jsonl").write_text("{}")
    for place, target in ((folder / "deep" / "out.jsonl", "secret.jsonl"), (folder / "all", ".")):
        place.symlink_to(tmp_path / target)
        with pytest.raises(
            InvalidRequestError, match=rf"{place.relative_to(folder)} is a link to a place outside of it"
        ):
            pack_folder(folder, tmp_path)
        assert pack_folder(folder, tmp_path, follows_links=True).is_file()
        place.unlink()


def test_a_file_that_becomes_shorter_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Longer(tarfile.TarInfo):
        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value + 1 if name == "size" and value else value)

    monkeypatch.setattr(packing.tarfile, "TarInfo", Longer)
    with pytest.raises(InvalidRequestError, match=r"Cannot pack .*letters: a file became shorter while it was read"):
        pack_folder(folder, tmp_path)


def test_a_subfolder_that_cannot_be_read_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(place: str) -> object:
        if str(place).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidRequestError, match=r"Cannot pack .*letters \(.*deep\): Permission denied"):
        pack_folder(folder, tmp_path)
