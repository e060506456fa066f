"""Whatever bytes come, an answer comes: a record, or a problem that says what is wrong."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as any_of

from afinador.data.files import loaders
from afinador.data.files.formats import FORMATS, FORMATS_BY_EXTENSION
from afinador.data.files.json_values import BrokenJSONError, Decoder, decode_quickly
from afinador.data.files.readers import read_records
from afinador.data.files.writers import write_records
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.written_formats import CONTENTS, ROWS, zstandard

FEWER = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
READERS = [format for format, row in FORMATS.items() if row.extensions]


@any_of.composite
def nearly(draw: Any, whole: bytes) -> bytes:
    """Draw a file with a few bytes changed, taken out or put in."""
    changed = bytearray(whole)
    for _ in range(draw(any_of.integers(1, 4))):
        at = draw(any_of.integers(0, len(changed)))
        removed = draw(any_of.integers(0, 6))
        changed[at : at + removed] = draw(any_of.binary(max_size=6))
    return bytes(changed)


def answered(path: Path, format: Any, reading: DatasetReading | None = None, name: str | None = None) -> None:
    for found in read_records(path, format, reading):
        assert isinstance(found, Record | Problem)
        if isinstance(found, Problem):
            assert found.message and "Traceback" not in found.message and found.message.endswith((".", "?", ")"))
    report = validate_dataset(path, name or f"data{FORMATS[format].extensions[0]}", reading)
    assert report.is_valid or report.errors[0].message
    json.dumps(report.to_json())


@pytest.mark.parametrize("format", READERS)
def test_any_bytes_are_answered(tmp_path: Path, format: Any) -> None:
    whole = CONTENTS[FORMATS[format].extensions[0]]
    path = tmp_path / "data"

    @SOME
    @given(any_of.one_of(any_of.binary(max_size=200), nearly(whole)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        answered(path, format)

    check()


ARCHIVES = FORMATS["folder"].extensions[1:]
TEXTS = [row.extensions[0] for row in FORMATS.values() if row.is_text]
PACKED = {".gz": gzip.compress, ".zst": zstandard}


@pytest.mark.parametrize("name", [*ARCHIVES, *(format + ending for format in TEXTS for ending in PACKED)])
def test_any_bytes_of_what_is_packed_are_answered(tmp_path: Path, name: str) -> None:
    plain, pack = name, PACKED.get(f".{name.rpartition('.')[2]}", bytes)
    if name not in ARCHIVES:
        plain = name.rpartition(".")[0]
    path, format = tmp_path / f"data{name}", FORMATS_BY_EXTENSION[plain]
    whole = pack(CONTENTS[plain]) if plain != name else CONTENTS[name]
    inner = nearly(CONTENTS[plain if plain != name else ".tar"]).map(pack)

    @FEWER
    @given(any_of.one_of(nearly(whole), inner, any_of.binary(max_size=200)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        answered(path, format, name=path.name)

    check()


def saved(folder: Path) -> dict[str, bytes]:
    """Return the files of a data set with two splits that ``datasets`` has written, by name."""
    import datasets

    label = datasets.ClassLabel(names=["even", "odd"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    split = datasets.Dataset.from_list(ROWS, features=features)
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(str(folder))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_any_damage_to_a_saved_data_set_is_answered(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    files = saved(folder)
    assert len(list(read_records(folder, "folder"))) == len(ROWS)
    mine = [name for name in files if not name.startswith("test/")]
    assert {Path(name).suffix for name in mine} == {".json", ".arrow"} and len(mine) == 4
    values = any_of.one_of(_values, any_of.sampled_from(["../..", "data-00000-of-00001.arrow", "/", "train", "\x00"]))

    @SOME
    @given(any_of.sampled_from(mine), any_of.data())
    def check(name: str, drawn: any_of.DataObject) -> None:
        whole = files[name]
        content = drawn.draw(nearly(whole))
        if name.endswith(".json") and drawn.draw(any_of.booleans()):  # JSON still, that says something else
            document = json.loads(whole)
            document[drawn.draw(any_of.sampled_from(list(document)))] = drawn.draw(
                any_of.one_of(values, any_of.lists(any_of.dictionaries(any_of.just("filename"), values), max_size=2))
            )
            content = json.dumps(document).encode()
        (folder / name).write_bytes(content)
        try:
            answered(folder, "folder", name=folder.name)
        finally:
            (folder / name).write_bytes(whole)

    check()


CARD = b"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.jsonl
dataset_info:
  features:
  - name: label
    dtype: {class_label: {names: {'0': even, '1': odd}}}
---
Words.
"""
YAML = [b"- ", b"  ", b"\n", b": ", b"configs", b"data_files", b"split", b"path", b"**/*", b"[", b"]", b"{", b"}", b"'",
        b"!!int ", b"!!bool ", b"!!timestamp ", b"!!binary ", b"!!set ", b"!!omap ", b"&a ", b"*a", b"<<", b"? ", b"| ", b"2024-99-99", b"0x", b".inf", b"~"]  # fmt: skip


def test_any_card_of_a_repository_is_answered(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train-0.jsonl").write_bytes(CONTENTS[".jsonl"])
    pieces = any_of.lists(any_of.sampled_from(YAML), max_size=12).map(b"".join)
    changed = any_of.builds(lambda card, at, piece: card[:at] + piece + card[at:], nearly(CARD), any_of.integers(4, 230), pieces)  # fmt: skip

    @SOME
    @given(any_of.one_of(changed, pieces.map(lambda front: b"---\n" + front + b"\n---\n")))
    @example(CARD)
    @example(b"---\na: !!bool maybe\n---\n")
    @example(b"---\na: !!timestamp now\n---\n")
    def check(card: bytes) -> None:
        (folder / "README.md").write_bytes(card)
        answered(folder, "folder", name=folder.name)

    check()


LOADERS = r"""
class Unwritten:
    def __repr__(self):
        raise RuntimeError("no text")

def raises_at_once(path): raise KeyError(path)
def raises_later(path):
    yield {"text": "a"}
    raise SystemError("later")
def gives_nothing(path): pass
def gives_a_text(path): return "text"
def gives_one_record(path): return {"text": "a"}
def gives_no_dictionaries(path): return [None, 5, "text", ["text"], ("text", "a"), b"text", {"text": "a"}]
def gives_odd_keys(path): return [{1: "a"}, {None: "a"}, {("a",): "b"}]
def gives_odd_values(path): return [{"text": Unwritten()}, {"text": b"a"}, {"text": float("nan")}, {"text": {1, 2}}, {"text": path}]
def gives_what_holds_itself(path):
    row = {"text": "a"}
    row["more"] = row
    return [row, {"text": [[]] * 3}]
def gives_half_characters(path): return [{"text": "\ud800"}]
def takes_no_path(): return []
def leaves(path): raise SystemExit(3)
def gives_records_for_ever(path):
    while True:
        yield {"text": "a" * 100}
def gives_nothing_for_ever(path):
    while True:
        yield None
"""


def test_whatever_a_loader_does_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_odd.py").write_text(LOADERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loaders, "MAX_UNPACKED_BYTES", 10_000)
    for name in re.findall(r"^def (\w+)", LOADERS, re.MULTILINE):
        reading = DatasetReading(loader=f"acme_odd:{name}")
        answered(tmp_path, "custom", reading, name="rows")
        report = validate_dataset(tmp_path, "rows", reading)
        assert not report.is_valid, name
        assert all(re.search(r"Correct|yield them|Let it end|Write it", each.message) for each in report.errors), report
        if "for_ever" in name:
            assert any(f"acme_odd:{name} gives more than" in error.message for error in report.errors)
            assert 80 < report.records < 160


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "windows-1252"])
def test_any_bytes_in_any_encoding_are_answered(tmp_path: Path, encoding: Any) -> None:
    path = tmp_path / "data"

    @SOME
    @given(any_of.binary(max_size=200), any_of.sampled_from(["jsonl", "json", "csv", "text"]))
    def check(content: bytes, format: Any) -> None:
        path.write_bytes(content)
        answered(path, format, DatasetReading(encoding=encoding))

    check()


_texts = any_of.text(any_of.characters(exclude_categories=["Cs"]), max_size=8)
_values = any_of.recursive(
    any_of.one_of(
        any_of.none(),
        any_of.booleans(),
        any_of.integers(),
        any_of.floats(allow_nan=False, allow_infinity=False),
        _texts,
    ),
    lambda inner: any_of.one_of(any_of.lists(inner, max_size=3), any_of.dictionaries(_texts, inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.parametrize("format", ["jsonl", "json", "parquet", "arrow", "csv", "text"])
def test_any_record_comes_back_as_it_was_or_is_refused(tmp_path: Path, format: Any) -> None:
    path = tmp_path / "data"

    @SOME
    @given(
        any_of.lists(
            any_of.dictionaries(any_of.one_of(any_of.just("text"), _texts), any_of.one_of(_texts, _values), max_size=3),
            min_size=1,
            max_size=3,
        )
    )
    def check(rows: list[dict[str, Any]]) -> None:
        try:
            write_records((Record(number, row) for number, row in enumerate(rows, start=1)), path, format)
        except DataError as error:
            assert error.message
            return
        found = list(read_records(path, format))
        assert [each.fields for each in found if isinstance(each, Record)] == rows, found

    check()


@SOME
@given(
    any_of.one_of(
        nearly(b'{"a": 1, "b" : [{"c": "\\u0022\\"", "a": 123456789012345678901}], "a": "\\ud83d\\ude00"}'),
        _values.map(json.dumps).map(str.encode),
    )
)
def test_quick_decoding_is_right_or_asks_for_a_closer_look(raw: bytes) -> None:
    try:
        quick = decode_quickly(raw)
    except ValueError:
        return
    text = raw.decode()
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        slow, end = Decoder().decode_at(text, start)
    except BrokenJSONError as error:
        raise AssertionError(f"{raw!r} was taken, but {error}") from error
    assert json.dumps(quick) == json.dumps(slow) and not text[end:].strip(" \t\r\n")
