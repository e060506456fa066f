"""Runs of three words as numbers, by which texts are compared.

A word is a number below 2^31, its bytes as one number modulo a prime; a run of three is their sum with two factors.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import repeat
from operator import add, mul

FEWEST_WORDS = 12
"""Shorter texts are not compared: in short texts a single word is the whole difference."""

CHARACTERS_COMPARED = 20_000
"""Of a longer text only the beginning is looked at."""

PRIME = 2_147_483_629
SECOND, THIRD = 2_862_933_555, 3_037_000_493
"""Factors of the second and the third word of a run; the sum stays below 2^64."""

_OTHER_SPACES = [space for space in map(chr, range(0x3001)) if space.isspace() and not space.encode().isspace()]
"""White space that bytes are not parted at."""
_SMALL_LATIN_1 = bytes(ord(" " if letter.isspace() else letter.lower()) for letter in map(chr, range(256)))


def has_enough_words(text: str) -> bool:
    """Tell whether a text has so many words that it is compared."""
    return len(text.split(maxsplit=FEWEST_WORDS - 1)) == FEWEST_WORDS


def runs_of(texts: Sequence[bytes]) -> tuple[list[int], array[int]]:
    """Return how many words each text has, and the runs of those that have enough, one text after the other.

    Args:
        texts: As ``in_words`` returns them.
    """
    counts, runs, number_of = [], array("Q"), _Numbers()
    for text in texts:
        words = text.split()
        counts.append(len(words))
        if len(words) >= FEWEST_WORDS:
            numbers = list(map(number_of.__getitem__, words))
            twos, threes = map(mul, numbers[1:], repeat(SECOND)), map(mul, numbers[2:], repeat(THIRD))
            runs.extend(map(add, map(add, numbers, twos), threes))
    return counts, runs


class _Numbers(dict[bytes, int]):
    """The number of each word; most words of a text occur again."""

    def __missing__(self, word: bytes) -> int:
        self[word] = number = int.from_bytes(word, "little") % PRIME
        return number


def in_words(text: str) -> bytes:
    """Return what is compared of a text, in small letters and UTF-8, its words parted by white space that bytes are parted at."""
    text = text[:CHARACTERS_COMPARED]
    try:  # what most texts of the West are in, and by far the fastest way to small letters
        return text.encode("latin-1").translate(_SMALL_LATIN_1).decode("latin-1").encode()
    except UnicodeEncodeError:
        text = text.lower()
    if any(map(text.__contains__, _OTHER_SPACES)):
        text = " ".join(text.split())
    return text.encode("utf-8", "surrogatepass")
