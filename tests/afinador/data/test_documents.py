"""Documents are decoded at once, and read as if each line had been looked at by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afinador.data import blanks
from afinador.data.checks import characters
from afinador.data.files import documents
from afinador.data.files.documents import read_text
from afinador.data.files.lines import lines_of
from afinador.data.records import Problem, Record
from afinador.errors import DataError

PIECES = st.sampled_from(
    [b"\n", b"\n\n", b"\r\n", b"a", b" ", b"\t", b"\x1c", b"\x85", b"\xa0", b"\x00", b"\xff", b"\r", "\u3000".encode(),
     "ñ".encode(), "\u2028".encode(), b"\xef\xbb\xbf"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=25), st.sampled_from([None, "latin-1", "windows-1252"]), st.booleans())
def test_each_line_counts(tmp_path: Path, pieces: list[bytes], encoding: Any, by_lines: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(pieces))
    try:
        found = list(read_text(path, encoding, by_lines=by_lines))
    except DataError as error:
        with pytest.raises(DataError, match=r"byte order mark"):
            list(lines_of(path, encoding))
        assert "byte order mark" in error.message
        return
    wanted = list(documents._documents(lines_of(path, encoding), by_lines=by_lines))
    for kind in (Record, Problem):
        assert [each for each in found if isinstance(each, kind)] == [each for each in wanted if isinstance(each, kind)]


@pytest.mark.parametrize(("text", "fits"), [("ñ" * 10, True), ("ñ\n" * 5, True), ("ñ" * 11, False), ("a\n" * 6, False)])
def test_characters_are_counted_and_not_bytes(
    tmp_path: Path, text: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT_CHARACTERS", 10)
    path = tmp_path / "a.txt"
    path.write_text("b\n\n" + text)
    if fits:
        assert [each.line for each in read_text(path, None, by_lines=False)] == [1, 3]
        return
    with pytest.raises(DataError, match="The document at line 3 has more than"):
        list(read_text(path, None, by_lines=False))


def test_every_character_is_judged_as_a_search_for_it_would() -> None:
    for character in map(chr, (*range(0x3100), *range(0xD800, 0xD810), *range(0xFD00, 0x10000), 0xE0001, 0xE0100)):
        for text in (character, f"a{character}", f" {character}"):
            assert blanks.is_blank(text) == (blanks._SEEN.search(text) is None)
        assert characters._may_hold_strange(character) == (characters._STRANGE.search(character) is not None)
    for character in map(chr, range(0x80, 0x3100)):
        for text in (f"Ã{character}", f"Â{character}", f"â€{character}"):
            assert characters._may_be_misread(text) == (characters._MAY_BE_MISREAD.search(text) is not None)
