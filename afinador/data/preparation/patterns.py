"""Regular expressions that people write, guarded against those that would never end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import regex

from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.errors import DataError, InvalidRequestError

LONGEST_PATTERN = 1000
SECONDS_PER_TEXT = 1.0
"""No text takes longer to be searched than this; patterns that try all ways of reading one would take years."""

SECONDS_PER_STEP = 1800.0
"""All texts of a data set together; a gigabyte takes a plain pattern some seconds."""
LONGEST_MADE = 64 * 2**20
"""No text that a step makes is longer, in characters: no reader would take it."""

_ESCAPE = re.compile(r"\\(?:([0-9]+)|g<(\w+)>|(.|$))", re.DOTALL)
_CHARACTERS = {"n": "\n", "t": "\t", "\\": "\\"}

Replacement = Callable[[Any], list[str]]
"""Gives what stands in the place of a match, in pieces that are not joined before they are counted."""


def require_room(characters: int, place: str, record: Record) -> None:
    """Do nothing if a text that a step makes of a record may have so many characters.

    Raises:
        DataError: It may not.
    """
    if characters > LONGEST_MADE:
        raise DataError(
            f"{place}: it makes more than {LONGEST_MADE >> 20} Mi characters of {record.place.lower()}, the most that a "
            "record is read with. Take shorter texts, or put less into them."
        )


class Pattern:
    """A regular expression.

    Args:
        source: As it was written.
        place: Where it stands, as the beginning of a sentence.
        param: The field of the request.
        spent: Seconds that the texts took so far, by the place; those of this one are added.

    Raises:
        InvalidRequestError: It is none, or longer than 1000 characters; says why and where.
    """

    def __init__(self, source: str, place: str, param: str, spent: dict[str, float]) -> None:
        if len(source) > LONGEST_PATTERN:
            raise InvalidRequestError(
                f"{place}: the regular expression has {len(source)} characters; at most {LONGEST_PATTERN} are read. "
                "Split it into several steps.",
                param=param,
            )
        self._source, self._place, self._spent = source, place, spent
        try:
            self._pattern = regex.compile(source)
        except (regex.error, OverflowError, RecursionError) as error:
            raise InvalidRequestError(
                f"{place}: {shortened(source)} is no regular expression: {error}. Correct it; a character that has a "
                "meaning there is written with a backslash before it.",
                param=param,
            ) from error

    def found_in(self, text: str, record: Record) -> bool:
        """Tell whether it is found somewhere in a text.

        Raises:
            DataError: It takes too long.
        """
        with self._timed(record):
            return self._pattern.search(text, timeout=SECONDS_PER_TEXT) is not None

    def replaced_in(self, text: str, replacement: Replacement, record: Record) -> str:
        """Return a text with all that it finds replaced.

        Raises:
            DataError: It takes too long, or what comes of it is longer than 64 Mi characters.
        """
        made = 0

        def counted(found: Any) -> str:
            nonlocal made
            pieces = replacement(found)
            made += sum(map(len, pieces))
            require_room(made, self._place, record)
            return "".join(pieces)

        with self._timed(record):
            return str(self._pattern.sub(counted, text, timeout=SECONDS_PER_TEXT))

    def replacement(self, source: str, param: str) -> Replacement:
        r"""Read what stands in the place of what is found.

        Raises:
            InvalidRequestError: It names a group that the pattern does not have, such as ``\2`` where there is one.
        """
        pieces: list[str | int] = []
        position = 0
        for escape in _ESCAPE.finditer(source):
            pieces += [source[position : escape.start()], self._meant(escape, source, param)]
            position = escape.end()
        pieces.append(source[position:])
        return lambda found: [piece if isinstance(piece, str) else found.group(piece) or "" for piece in pieces]

    def _meant(self, escape: re.Match[str], source: str, param: str) -> str | int:
        name = escape[1] or escape[2]
        number = self._pattern.groupindex.get(name, int(name) if name and name.isdecimal() else None)
        if number is not None and number <= self._pattern.groups:
            return int(number)
        if name is None and escape[3] in _CHARACTERS:
            return _CHARACTERS[escape[3]]
        groups = ", ".join([*map(str, range(1, self._pattern.groups + 1)), *self._pattern.groupindex]) or "none"
        raise InvalidRequestError(
            f"{self._place}: {escape[0]} in the replacement {shortened(source)} does not fit the pattern, whose groups "
            rf"are: {groups}. Groups are written \1 or \g<name>, a new line \n, a backslash \\.",
            param=param,
        )

    @contextmanager
    def _timed(self, record: Record) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except TimeoutError as error:
            raise self._too_slow(record) from error
        seconds = self._spent.get(self._place, 0.0) + time.perf_counter() - started
        self._spent[self._place] = seconds
        if seconds > SECONDS_PER_STEP:
            raise DataError(
                f"{self._place}: the regular expression {shortened(self._source)} took longer than {SECONDS_PER_STEP:g} s "
                f"on all texts up to {record.place.lower()}. Write it without repetitions inside of repetitions, or prepare less at once."
            )

    def _too_slow(self, record: Record) -> DataError:
        return DataError(
            f"{self._place}: the regular expression {shortened(self._source)} took longer than {SECONDS_PER_TEXT:g} s "
            f"on {record.place.lower()}. Write it without repetitions inside of repetitions, such as (a+)+."
        )
