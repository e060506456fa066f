"""Folders, archives and what is compressed: read whole, or refused before they do harm."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from afinador.data.files import archives, compressed
from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError, InsufficientStorageError
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.written_formats import CONTENTS, a_tar, a_zip, json_lines, problem, read, rows, zstandard


def test_documents_of_an_archive_say_where_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.zip"
    path.write_bytes(a_zip({"all/a.json": b'{"text": "a"}', "all/b.jsonl": b'{"text": "b"}\n3\n', "all/README.md": b"#",
                            "all/c.json": b"[{]", "__MACOSX/x": b"?", "all/d.json.gz": gzip.compress(b'[{"text": "d"}]')}))  # fmt: skip
    found = read(path)
    assert [(each.place, each.fields) for each in found if isinstance(each, Record)] == [
        ("Record 1 (all/a.json, record 1)", {"text": "a"}),
        ("Record 2 (all/b.jsonl, line 1)", {"text": "b"}),
        ("Record 5 (all/d.json.gz, record 1)", {"text": "d"}),
    ]
    assert [each.message.partition(" is ")[0] for each in found if isinstance(each, Problem)] == [
        "all/b.jsonl: Line 2", "all/c.json: Record 1 of the array, line 1,"
    ]  # fmt: skip


@pytest.mark.parametrize("pack, extension", [(a_zip, ".zip"), (a_tar, ".tar")])
@pytest.mark.parametrize("name", ["../out.json", "/out.json", "a/../../out.json", "C:\\out.json", "..\\out.json"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, pack: Any, extension: str, name: str) -> None:
    path = tmp_path / f"data{extension}"
    path.write_bytes(pack({"a.json": b"{}", name: b"{}"}))
    assert "outside of the archive" in problem(path).message
    assert sorted(each.name for each in tmp_path.parent.rglob("out.json")) == []


def test_nothing_in_a_folder_is_left_out_in_silence(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
        (place / "a.jsonl").write_text('{"text": "a"}\n')
    (folder / "b.jsonl").symlink_to(elsewhere / "a.jsonl")
    assert validate_dataset(folder, "data").records == 2
    for name, make, said in (
        ("more", lambda path: path.symlink_to(elsewhere), "'more', which is a link to no file"),
        ("gone.jsonl", lambda path: path.symlink_to(tmp_path / "nowhere"), "'gone.jsonl', which is a link to no file"),
        ("p.jsonl", os.mkfifo, "'p.jsonl', which is neither a file nor a folder"),
    ):
        make(folder / name)
        assert said in problem(folder).message
        (folder / name).unlink()


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "secret").mkdir(parents=True)
    (tmp_path / "data" / "a.jsonl").write_text('{"text": "a"}\n')
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # permissions do not bind root, as whom tests may run
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "The folder 'secret' cannot be read: Permission denied" in problem(tmp_path / "data").message


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        entry = tarfile.TarInfo("a.json")
        entry.type, entry.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "data.tar", "w") as archive:
            archive.addfile(entry)
        assert "a link" in problem(tmp_path / "data.tar").message
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        link = zipfile.ZipInfo("a.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "a link" in problem(tmp_path / "data.zip").message


def test_an_archive_is_refused_before_what_it_describes_takes_memory_or_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    many = 100_001
    size = (len(entry) * many).to_bytes(4, "little")
    end = b"PK\x05\x06" + bytes(4) + b"\x01\x00\x01\x00" + size + bytes(6)
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04" + entry * many + end)
    assert "more than 100000 files" in problem(tmp_path / "data.zip").message
    name = tarfile.TarInfo("a.json")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "data.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "describes a file with 1099511627776 bytes" in problem(tmp_path / "data.tar").message
    name.type, name.size = tarfile.REGTYPE, 1 << 60
    (tmp_path / "data.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "unpacks to more than 4 GiB" in problem(tmp_path / "data.tar").message
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    for pack, extension in ((a_zip, ".zip"), (a_tar, ".tar")):
        path = tmp_path / f"room{extension}"
        path.write_bytes(pack({"a.json": b'{"text": "a"}'}))
        with pytest.raises(
            InsufficientStorageError, match="unpacks to 13 bytes, and the disk for temporary files has 10"
        ):
            list(read_records(path, "folder"))


@pytest.mark.parametrize("extension", [".jsonl.gz", ".jsonl.zst", ".zip", ".tar.gz"])
def test_what_unpacks_to_too_much_is_refused_with_the_limit(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json_lines([{"text": "a" * 2**20}]) * 3
    packed = {".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard, ".zip": lambda c: a_zip({"a.jsonl": c}),
              ".tar.gz": lambda c: a_tar({"a.jsonl": c}, "w:gz")}[extension](content)  # fmt: skip
    path = tmp_path / f"data{extension}"
    path.write_bytes(packed)
    assert len(rows(path)) == 3
    monkeypatch.setattr(compressed, "BYTES_WITHOUT_RATIO", 2**20)
    assert "more than 200 times its size" in problem(path).message
    monkeypatch.setattr(compressed, "MAX_UNPACKED_BYTES", 2**21)
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 2**21)
    monkeypatch.setattr(compressed, "MAX_RATIO", 10**9)
    assert "the most that is unpacked" in problem(path).message


@pytest.mark.parametrize("extension", [".jsonl.gz", ".jsonl.zst", ".zip", ".tar.gz", ".parquet", ".arrow"])
def test_what_is_cut_off_is_one_problem(tmp_path: Path, extension: str) -> None:
    many = [{"text": sha256(str(n).encode()).hexdigest()} for n in range(2_000)]
    whole = {".jsonl.gz": gzip.compress(json_lines(many)), ".jsonl.zst": zstandard(json_lines(many))} | CONTENTS
    path = tmp_path / f"data{extension}"
    path.write_bytes(whole[extension][: len(whole[extension]) // 2])
    try:
        assert problem(path).code == "unreadable_file"
    except DataError as error:  # told before a record is read
        assert "data" in error.message


def test_split_is_told_by_names_and_no_other_is_taken_unasked(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "train-1.jsonl", "validation.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}) + "\n")
    assert [row["text"] for row in rows(tmp_path)] == ["train-0.jsonl", "train-1.jsonl"]
    assert len(rows(tmp_path, DatasetReading(split="validation"))) == 1
    assert (
        "no 'test' among the splits, which are: train, validation"
        in problem(tmp_path, DatasetReading(split="test")).message
    )
    (tmp_path / "other.json").write_text("{}")
    assert "'other.json', which belongs to no split" in problem(tmp_path).message
    assert "Declare --split all (reading.split) to read all of them" in problem(tmp_path).message
    every = rows(tmp_path, DatasetReading(split="all"))
    assert [row.get("text") for row in every] == [None, "train-0.jsonl", "train-1.jsonl", "validation.jsonl"]
    (tmp_path / "other.json").rename(tmp_path / "scan.pdf")
    said = problem(tmp_path).message
    assert "'scan.pdf', which is none of the formats" in said and "Leave only Parquet, Arrow, JSON" in said


def test_repository_is_read_as_its_card_says(tmp_path: Path) -> None:
    card = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "en/**"}, {"split": "test", "path": ["t?.csv"]}],
            },
            {"config_name": "es", "data_files": "es/*.jsonl"},
        ],
        "dataset_info": {"features": [{"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}}]},
    }
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n# Text")
    for folder, value in (("en", 1), ("en/more", 0), ("es", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        parquet.write_table(pa.table({"label": [value]}), tmp_path / folder / "0.parquet")
    (tmp_path / "es" / "a.jsonl").write_text('{"text": "hola"}\n')
    (tmp_path / "t1.csv").write_text("text\nheld out\n")
    assert rows(tmp_path) == [{"label": "yes"}, {"label": "no"}]
    assert rows(tmp_path, DatasetReading(config="es")) == [{"text": "hola"}]
    assert rows(tmp_path, DatasetReading(split="test")) == [{"text": "held out"}]
    assert rows(tmp_path, DatasetReading(split="all")) == [{"label": "yes"}, {"label": "no"}, {"text": "held out"}]
    card["configs"][0]["data_files"].append({"split": "all", "path": ["t1.csv"]})
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n# Text")
    assert rows(tmp_path, DatasetReading(split="all")) == [{"text": "held out"}]
    assert "config is 'fr'; the data set has: default, es" in problem(tmp_path, DatasetReading(config="fr")).message
