"""Plain rows of a CSV are taken up at once; the verdict is that of those who look at each."""

from __future__ import annotations

import json
from itertools import accumulate, chain, product
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as any_of

from afinador.data import validation
from afinador.data.checks import line_blocks, personal_data, row_arrays, row_blocks
from afinador.data.checks.characters import _BYTES_OF_STRANGE, may_be_strange_text
from afinador.data.checks.findings import Findings
from afinador.data.checks.plain_rows import PlainRows
from afinador.data.checks.row_arrays import RowArrays
from afinador.data.files.dialects import Dialect
from afinador.data.validation import validate_dataset

PIECES = [
    b"a", b"b c", b"\xc3\xa1\xc3\xb1", b"\xe2\x80\x9c", b"\xf0\x9f\x98\x80", b"\\", b"\t", b"\v", b"\f", b" ", b"'", b'"', b'""', b",", b";", b"|",
    b"\n", b"\r\n", b"\r", b"\x85", b"\xc2\x85", 201 * b"x", 99 * b"\xc3\xb1 ", b"\xe3\x81\x82", b"\xc2\x9b", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\x1b", b"\x7f", b"0",
]  # fmt: skip
PLAIN = [piece for piece in PIECES if not set(piece) & set(b"\"',;|\r\n\xff\xed\x1b\x7f\x9b\xef\x85")]
# Values that hold nothing, by themselves.
EMPTY = [b"", b" ", b"NaN", b"null", b"\xe2\x80\x8b", b" \xe2\x81\xa0", b"\xe3\x85\xa4", b"\xe3\x80\x80"]
# The first and the last characters of each length, and what is near to them and none: too long, surrogates, too high.
BORDERS_OF_UTF8 = [
    b"a", b"\x7f", b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2\x80", b"\xc2", b"\xdf\xbf", b"\xe0\x9f\xbf", b"\xe0\xa0\x80", b"\xe1\x80",
    b"\xec\xbf\xbf", b"\xed\x9f\xbf", b"\xed\xa0\x80", b"\xef\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf0\x9f\x98", b"\xf3\x80\x80\x80",
    b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff",
]  # fmt: skip
# Told where it is looked for only; each of the ways is to leave that away from the first row on.
NEARLY_EQUAL = b"prompt,completion\n" + b"".join(b'a,"a%s%s"\n' % (100 * b"\xc3\xb1 ", end) for end in (b"", b"\t\t"))
# Good ones first; then what is nothing, and quotes where they should not be.
VALUES = [
    b"a", b'"b"', b'"a""b"', b'""""', b'"\n"', b'"\r\n,"', b'"\xc3\xb1,"', b"\xe3\x81\x82", b'"%b"' % (201 * b"x"), b"", b'""', b'" "', b"NaN", b"\xe2\x80\x8b",
    b'"a"x', b'x"a', b'x"a"', b'"a""', b'"', b'"a" ', b' "a"',
]  # fmt: skip
HEADERS = [
    "prompt,completion",
    '"text","label"',
    "'text','label'",
    "text;label",
    "id,label,text",
    "completion\tprompt",
    "a,b",
]


@any_of.composite
def tables(draw: Any) -> bytes:
    """Draw a CSV whose rows are mostly as they should be."""
    header = draw(any_of.sampled_from(HEADERS)).encode()
    delimiter = next((bytes([code]) for code in header if code in b",;\t"), b",")
    quote = b"'" if header.startswith(b"'") else b'"'
    plain = any_of.lists(any_of.sampled_from(PLAIN), max_size=3).map(lambda parts: b"".join([b"a", *parts]))
    inside = any_of.lists(any_of.sampled_from([*PLAIN, delimiter, b"\n", b"\r\n", 2 * quote]), max_size=4).map(
        lambda parts: b"".join([b"a", *parts])
    )
    odd = any_of.lists(any_of.sampled_from(PIECES), max_size=4).map(b"".join)
    columns = header.count(delimiter) + 1
    line_end = draw(any_of.sampled_from([b"\n", b"\n", b"\r\n"]))
    rows = []
    for _ in range(draw(any_of.integers(4, 12))):
        kind = draw(any_of.integers(0, 30))
        if kind == 0:
            rows.append(draw(odd))
            continue
        values = [
            draw(
                plain.map(lambda text: text.replace(delimiter, b""))
                if draw(any_of.booleans())
                else inside.map(lambda text: quote + text + quote)
            )
            for _ in range(columns)
        ]
        if kind == 2:
            values[draw(any_of.integers(0, columns - 1))] = draw(any_of.sampled_from(EMPTY))
        rows.append(delimiter.join(values[: -1 if kind == 1 else None]))
    mark = draw(any_of.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
    return mark + line_end.join([header, *rows]) + draw(any_of.sampled_from([b"", line_end]))


def told(path: Path, **options: Any) -> dict[str, Any]:
    """All that a verdict says, and what is compared with other files."""
    report = validate_dataset(path, "a.csv", **options)
    document = json.loads(json.dumps(report.to_json()))
    del document["compared"]["searched"], document["compared"]["near"]
    document["notes"] = [note for note in document["notes"] if note["code"] != "searched_in_part"]
    return {**document, "sketch": report.repetitions.sketch(), "lengths": dict(report.lengths)}


@pytest.mark.parametrize("way", [PlainRows, RowArrays])
def test_plain_rows_are_judged_as_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: type[PlainRows | RowArrays]
) -> None:
    path = tmp_path / "a.csv"
    taken = []
    take = way.take
    if way is PlainRows:
        monkeypatch.setattr(row_blocks, "_row_arrays", lambda: None)

    def counted(rows: Any, raw: bytes, line: int, found: Findings) -> tuple[int, int]:
        answer = take(rows, raw, line, found)
        taken.append(found.records)
        return answer

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @example(NEARLY_EQUAL, 30)
    @given(tables(), any_of.sampled_from([30, 100, 2**20]))
    def check(content: bytes, block_bytes: int) -> None:
        path.write_bytes(content)
        with monkeypatch.context() as patched:
            for module in (line_blocks, row_blocks):
                patched.setattr(module, "BLOCK_BYTES", block_bytes)
            for module in (row_blocks, validation):
                patched.setattr(module, "is_searched", lambda number: False)
            patched.setattr(validation, "LARGE_FILE_BYTES", 0)
            patched.setattr(way, "take", counted)
            quick = told(path, processes=1)
            patched.setattr(way, "take", lambda rows, raw, line, found: (0, line))
            assert quick == told(path, processes=1)
            patched.setattr(validation, "_divisible", lambda *_: None)
            assert quick == told(path)

    check()
    assert sum(taken) > 100


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("is_labelled", [False, True])
@pytest.mark.parametrize("other", [b'"a","b"', b'a,"b"'])
def test_both_ways_take_up_the_same_rows(line_end: bytes, is_labelled: bool, other: bytes) -> None:
    few = VALUES[::3]
    long = [(b"a", 100_001 * b"x"), (50_001 * b"x", 50_000 * b"\xc3\xb1")]
    taken = set()
    for values in chain(product(VALUES, repeat=1), product(VALUES, repeat=2), product(few, repeat=3), long):
        row = b",".join(values)
        for rows in ([other, row, other, b""], [row, other, b""], [other, row]):
            raw = line_end.join(rows)
            told = []
            for way in (PlainRows, RowArrays):
                found = Findings()
                place = way(Dialect(",", '"'), 2, 0, 1, is_labelled).take(raw, 7, found)
                told.append((place, {**vars(found), "labels": found.labels.to_json()}))
            assert told[0] == told[1], raw
            taken.add(found.records)
    assert taken == {0, 1, 2, 3}


@pytest.mark.parametrize("columns, first, second", [(3, 0, 2), (3, 2, 1), (4, 1, 3)])
def test_both_ways_take_up_the_same_columns(columns: int, first: int, second: int) -> None:
    for values in product(VALUES[::2], repeat=3):
        raw = b"".join(b",".join([*row, b'"d"'][:columns]) + b"\n" for row in (values, values[::-1]))
        told = []
        for way in (PlainRows, RowArrays):
            found = Findings()
            told.append((way(Dialect(",", '"'), columns, first, second, False).take(raw, 7, found), dict(vars(found))))
            del told[-1][1]["labels"]
        assert told[0] == told[1], raw


@settings(max_examples=300, deadline=None)
@given(
    any_of.lists(any_of.sampled_from(BORDERS_OF_UTF8), max_size=6).map(b"".join),
    any_of.integers(0, 3),
    any_of.sampled_from([0, 31, 32, 100]),
)
def test_bytes_are_utf8_where_they_can_be_decoded(content: bytes, cut: int, before: int) -> None:
    raw = before * "ñ".encode() + content[cut:] + b"\n"
    for each in (raw, raw[:-1]):
        data = numpy.frombuffer(each, numpy.uint8)
        try:
            each.decode()
        except UnicodeDecodeError:
            with pytest.raises(UnicodeDecodeError):
                row_arrays._Followers.of(each, data)
        else:
            counted = row_arrays._Followers.of(each, data).before(numpy.arange(len(each) + 1))
            assert counted.tolist() == [0, *accumulate(0x80 <= byte < 0xC0 for byte in each)]


@pytest.mark.parametrize("count", [0, 3, 1500])
def test_strange_bytes_are_found_after_any_number_of_their_like(count: int) -> None:
    misread = [("Ä", "Ã©"), ("Ä", "Ã\x85"), ("ł", "Â\x85"), ("ł", "Â»"), ("€", "â€œ")]
    for like, strange in [("«", "\x9b"), ("—", "\u202e"), ("ﬁ", "\ufffd"), *misread]:
        for tells in (may_be_strange_text, row_arrays.may_be_strange_text):
            assert not tells((like * count).encode())
            assert tells((like * count + strange + like).encode())
    assert len(_BYTES_OF_STRANGE) == 5


def test_both_ways_find_the_same_bytes_strange() -> None:
    assert not row_arrays.may_be_strange_text(b"")
    told = [
        (may_be_strange_text(raw), row_arrays.may_be_strange_text(raw))
        for raw in (b"a%cb" % code for code in range(128))
    ]
    assert all(one == other for one, other in told)
    assert [one for one, _ in told].count(True) == 28


def test_each_hint_of_personal_data_is_looked_for() -> None:
    hints = [hint for kind in personal_data._KINDS for hint in kind.hints]
    assert all(personal_data.may_be_personal(["a", f"b {hint} c"]) for hint in hints)
    assert not personal_data.may_be_personal(["a - b_c", "x J V A"])
