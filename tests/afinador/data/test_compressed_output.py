"""What is written compressed: read again as it was, the same bytes each time, and never what would not be read."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from afinador.data.files import compressed
from afinador.data.files.compressed import is_compressed
from afinador.data.files.formats import COMPRESSIONS
from afinador.data.files.readers import detect_format, read_records
from afinador.data.preparation import format_of_name, prepare_file, prepared_name
from afinador.data.records import Record
from afinador.errors import DataError, InvalidRequestError

ROWS = [{"text": f'text {n},\n"ñ"', "label": "odd" if n % 2 else "even"} for n in range(1, 400)]
TEXTS = [{"text": f"text {n}\nñ"} for n in range(1, 400)]
EXTENSIONS = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt"]


def rows(path: Path) -> list[dict[str, Any]]:
    found = list(read_records(path, detect_format(path, path.name)))
    assert all(isinstance(each, Record) for each in found), found
    return [each.fields for each in found if isinstance(each, Record)]


def source_of(folder: Path, kept: list[dict[str, str]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_there_and_back_keeps_every_record(tmp_path: Path, extension: str, compression: str) -> None:
    kept = TEXTS if extension == ".txt" else ROWS
    packed, back = tmp_path / f"rows{extension}{compression}", tmp_path / f"back.jsonl{compression}"
    prepare_file(source_of(tmp_path, kept), [], target=packed)
    prepare_file(packed, [], target=back)
    assert rows(packed) == rows(back) == kept
    assert is_compressed(packed) and is_compressed(back) and packed.stat().st_size < 6000


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_same_preparation_makes_the_same_bytes(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, steps = source_of(tmp_path, ROWS), [{"type": "split", "validation": 0.25}]
    monkeypatch.setattr("time.time", lambda: 1e9)
    first = prepare_file(source, steps, target=tmp_path / f"one.csv{compression}").files
    monkeypatch.setattr("time.time", lambda: 2e9)
    second = prepare_file(source, steps, target=tmp_path / f"two.csv{compression}").files
    assert [file.path.name for file in first] == [f"one-train.csv{compression}", f"one-validation.csv{compression}"]
    assert [(file.sha256, file.records) for file in first] == [(file.sha256, file.records) for file in second]


@pytest.mark.parametrize(
    ("name", "format", "made"),
    [
        ("rows.csv.gz", "csv", "rows-prepared.csv.gz"),
        ("rows.v2.JSONL.ZST", "jsonl", "rows.v2-prepared.jsonl.zst"),
        ("rows.csv.gz", "parquet", "rows-prepared.parquet"),
        ("rows.tar.gz", "jsonl", "rows-prepared.jsonl"),
        ("rows", "jsonl", "rows-prepared.jsonl"),
    ],
)
def test_a_name_that_nobody_gives_keeps_the_compression(name: str, format: Any, made: str) -> None:
    assert prepared_name(name, format) == made


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("made.parquet.gz", "would be Parquet in a compressed file, which is not read again. Leave .gz out"),
        ("made.jsonl.zst.gz", "would be compressed twice, which is not read again. Leave .gz out"),
        ("made.gz", "says no format which is written"),
        ("made.tar.gz", "says no format which is written"),
        ("made.jsonl.bz2", r"says no format which is written; .* \.gz or \.zst compresses it"),
    ],
)
def test_what_is_not_compressed_is_refused_by_its_name(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        prepare_file(source_of(tmp_path, ROWS), [], target=tmp_path / name)
    with pytest.raises(InvalidRequestError, match=said):
        format_of_name(name)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_would_not_be_read_again_is_not_made(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path, [{"text": "a" * 999}] * 1000)
    before = sorted(tmp_path.iterdir())
    for name, most, said in (
        ("BYTES_WITHOUT_RATIO", 1000, "more than 200 times its size, the most that is read again. Write it without"),
        ("MAX_UNPACKED_BYTES", 600_000, "more than 0 GiB, the most that is read again"),
    ):
        monkeypatch.setattr(compressed, name, most)
        with pytest.raises(DataError, match=rf"made\.jsonl{compression} would unpack to {said}"):
            prepare_file(source, [], target=tmp_path / f"made.jsonl{compression}")
        assert sorted(tmp_path.iterdir()) == before
        monkeypatch.undo()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_full_disk_is_said(compression: str) -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        compressed.open_to_write(Path("/dev/full"), f"made.jsonl{compression}") as stream,
    ):
        stream.write(Random(1).randbytes(2**22))
