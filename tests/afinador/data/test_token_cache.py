"""Tokenised data that are kept: the same to the bit, never another's, never half, never too many."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from afinador.data.shapes import Example
from afinador.data.tokens import cache as token_cache
from afinador.data.tokens import rows as token_rows
from afinador.data.tokens.cache import ABANDONED_SECONDS, TokenCache, key_of
from afinador.data.tokens.tokenisation import TokenisedExample, tokenise_all
from afinador.errors import DataError
from tests.afinador.data.conftest import character_tokenizer, sentencepiece_tokenizer

DATA = {"sha256": "d" * 64, "format": "jsonl"}
EXAMPLES = [
    Example(1, prompt="a question", completion="an answer"),
    Example(2, prompt="x" * 30, completion="y" * 40),
    Example(3, text="a text that goes on"),
]


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "cache" / "org_1", max_bytes=1_000_000)


def never() -> list[TokenisedExample]:
    raise AssertionError("nothing is tokenised here")


def test_what_comes_back_is_what_was_made(cache, any_tokenizer):
    made = list(tokenise_all(EXAMPLES, any_tokenizer, 24))
    key = key_of(DATA, any_tokenizer, 24, ())
    first = cache.get_or_make(key, lambda: made)
    second = cache.get_or_make(key, never)
    assert (first.is_hit, second.is_hit) == (False, True)
    assert list(second.tokenised) == made
    assert all(type(token) is int for token in (*second.tokenised[0].input_ids, *second.tokenised[0].labels))
    assert first.bytes == second.bytes == (cache.folder / f"{key}.arrow").stat().st_size > 0
    assert key.startswith(DATA["sha256"])


def test_the_key_tells_everything_apart_that_makes_other_tokens(monkeypatch):
    tokenizer = character_tokenizer()
    key = key_of(DATA, tokenizer, 24, ())
    tokenizer("a text", truncation=True, max_length=2, padding="max_length")  # leaves a state behind
    assert key_of(DATA, tokenizer, 24, ()) == key == key_of(DATA, character_tokenizer(), 24, ())
    others = [
        key_of({**DATA, "sha256": "e" * 64}, tokenizer, 24, ()),
        key_of({**DATA, "format": "json"}, tokenizer, 24, ()),
        key_of(DATA, tokenizer, 25, ()),
        key_of(DATA, tokenizer, 24, ("a", "b")),
        key_of(DATA, tokenizer, 24, ("b", "a")),
        key_of(DATA, sentencepiece_tokenizer(), 24, ()),
    ]
    tokenizer.chat_template = "{{ messages }}"
    others.append(key_of(DATA, tokenizer, 24, ()))
    tokenizer.eos_token = "<|im_end|>"
    others.append(key_of(DATA, tokenizer, 24, ()))
    tokenizer.chat_template = "{{ strftime_now('%d') }}"
    today = key_of(DATA, tokenizer, 24, ())
    assert key_of(DATA, tokenizer, 24, ()) == today
    monkeypatch.setattr(token_cache, "date", SimpleNamespace(today=lambda: date(2001, 2, 3)))
    others += [today, key_of(DATA, tokenizer, 24, ())]
    assert len({key, *others}) == 11
    assert key_of(DATA, object(), 24, ()) is None


@pytest.mark.parametrize("damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: b"\0" * len(whole)])
def test_a_damaged_entry_is_made_anew(cache, damage):
    made = [TokenisedExample([1, 2, 3], [-100, 2, 3], cut_before=4, continues=True)]
    cache.get_or_make("k", lambda: made)
    path = cache.folder / "k.arrow"
    path.write_bytes(damage(path.read_bytes()))
    again = cache.get_or_make("k", lambda: made)
    assert not again.is_hit and list(again.tokenised) == made
    assert cache.get_or_make("k", never).tokenised[:] == made


def test_a_single_other_bit_is_seen(cache):
    made = [TokenisedExample(list(range(1000)), list(range(1000)))]
    cache.get_or_make("k", lambda: made)
    path = cache.folder / "k.arrow"
    whole = bytearray(path.read_bytes())
    whole[whole.index((777).to_bytes(4, "little"))] ^= 1
    path.write_bytes(whole)
    assert not cache.get_or_make("k", lambda: made).is_hit


def test_what_was_not_used_for_longest_goes_first_over_all_organisations(cache):
    made = [TokenisedExample(list(range(5000)), list(range(5000)))]
    other = replace(cache, folder=cache.folder.parent / "org_2")
    size = other.get_or_make("old", lambda: made).bytes
    cache.get_or_make("used", lambda: made)
    for age, path in ((200, other.folder / "old.arrow"), (300, cache.folder / "used.arrow")):
        os.utime(path, (1e9 - age, 1e9 - age))
    left_behind = other.folder / ".k.arrow.1.tmp"
    left_behind.write_bytes(b"half")
    os.utime(left_behind, (1e9 - ABANDONED_SECONDS, 1e9))
    small = replace(cache, max_bytes=2 * size)
    assert small.get_or_make("used", never).is_hit
    small.get_or_make("new", lambda: made)
    assert sorted(path.name for path in cache.folder.parent.glob("*/*")) == ["new.arrow", "used.arrow"]
    assert replace(cache, max_bytes=100).get_or_make("large", lambda: made).bytes == 0
    assert sorted(path.name for path in cache.folder.parent.glob("*/*")) == ["new.arrow", "used.arrow"]


def test_several_at_once_all_get_the_same(cache):
    made = [TokenisedExample(list(range(500)), list(range(500)))] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cache.get_or_make("k", lambda: made).tokenised[:], range(24)))
    assert all(answer == made for answer in answers)
    assert [path.name for path in cache.folder.iterdir()] == ["k.arrow"]


def test_rows_are_written_as_they_come_and_read_one_at_a_time(cache, monkeypatch):
    monkeypatch.setattr(token_rows, "ROWS_IN_BATCH", 3)
    made = [TokenisedExample(list(range(at)), [-100] * at, at % 3, at % 2, at % 5 == 0) for at in range(10)]
    files = []

    def make():
        for example in made:
            files.append([path.stat().st_size for path in cache.folder.iterdir()])
            yield example

    for _ in range(2):
        cached = cache.get_or_make("k", make, lambda: {"examples": 10})
        assert list(cached.tokenised) == made and cached.summary == {"examples": 10}
        assert (cached.tokenised[-1], cached.tokenised[2:5]) == (made[9], made[2:5])
        assert cached.tokenised.lengths() == list(range(10))
        assert list(cached.tokenised.cuts()) == [(each.cut_before, each.cut_after) for each in made]
    assert cached.is_hit and len(files) == 10 and len(files[-1]) == 1
    with pytest.raises(IndexError):
        cached.tokenised[10]


def test_what_tokenising_raises_goes_on_and_leaves_nothing(cache):
    def make():
        yield TokenisedExample([1], [1])
        raise DataError("line 2 is bad")

    with pytest.raises(DataError, match="line 2"):
        cache.get_or_make("k", make)
    assert list(cache.folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_harms_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    cached = TokenCache(tmp_path / "file" / "org", 10**9).get_or_make("k", lambda: [TokenisedExample([1], [1])])
    assert (cached.is_hit, cached.bytes) == (False, 0)
