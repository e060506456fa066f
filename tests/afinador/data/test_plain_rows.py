"""Plain rows of a CSV are taken up at once; the verdict is that of those who look at each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as any_of

from afinador.data import validation
from afinador.data.checks import line_blocks, personal_data, row_blocks
from afinador.data.checks.characters import _BYTES_OF_STRANGE, may_be_strange_text
from afinador.data.checks.findings import Findings
from afinador.data.checks.plain_rows import PlainRows
from afinador.data.validation import validate_dataset

PIECES = [
    b"a", b"b c", b"\xc3\xa1\xc3\xb1", b"\xe2\x80\x9c", b"\xf0\x9f\x98\x80", b"\\", b"\t", b"\v", b"\f", b" ", b"'", b'"', b'""', b",", b";", b"|",
    b"\n", b"\r\n", b"\r", b"\x85", b"\xc2\x85", b"\xc2\x9b", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\x1b", b"\x7f", b"0",
]  # fmt: skip
PLAIN = [piece for piece in PIECES if not set(piece) & set(b"\"',;|\r\n\xff\xed\x1b\x7f\x9b\xef\x85")]
# Values that hold nothing, by themselves.
EMPTY = [b"", b" ", b"NaN", b"null", b"\xe2\x80\x8b", b" \xe2\x81\xa0", b"\xe3\x85\xa4", b"\xe3\x80\x80"]
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


def test_plain_rows_are_judged_as_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    taken = []
    take = PlainRows.take

    def counted(rows: PlainRows, raw: bytes, line: int, found: Findings) -> tuple[int, int]:
        answer = take(rows, raw, line, found)
        taken.append(found.records)
        return answer

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(tables(), any_of.sampled_from([30, 100, 2**20]))
    def check(content: bytes, block_bytes: int) -> None:
        path.write_bytes(content)
        with monkeypatch.context() as patched:
            for module in (line_blocks, row_blocks):
                patched.setattr(module, "BLOCK_BYTES", block_bytes)
            for module in (row_blocks, validation):
                patched.setattr(module, "is_searched", lambda number: False)
            patched.setattr(PlainRows, "take", counted)
            quick = told(path, processes=1)
            patched.setattr(PlainRows, "take", lambda rows, raw, line, found: (0, line))
            assert quick == told(path, processes=1)
            patched.setattr(validation, "_divisible", lambda *_: None)
            assert quick == told(path)

    check()
    assert sum(taken) > 100


@pytest.mark.parametrize("count", [0, 3, 1500])
def test_strange_bytes_are_found_after_any_number_of_their_like(count: int) -> None:
    misread = [("Ä", "Ã©"), ("ł", "Â»"), ("€", "â€œ")]
    for like, strange in [("«", "\x9b"), ("—", "\u202e"), ("ﬁ", "\ufffd"), *misread]:
        assert not may_be_strange_text((like * count).encode())
        assert may_be_strange_text((like * count + strange + like).encode())
    assert len(_BYTES_OF_STRANGE) == 5


def test_each_hint_of_personal_data_is_looked_for() -> None:
    hints = [hint for kind in personal_data._KINDS for hint in kind.hints]
    assert all(personal_data.may_be_personal(["a", f"b {hint} c"]) for hint in hints)
    assert not personal_data.may_be_personal(["a - b_c", "x J V A"])
