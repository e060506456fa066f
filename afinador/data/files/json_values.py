"""JSON as its standard has it: no NaN, no key twice, no half surrogates, no nesting without end."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

import orjson

from afinador.data.quoting import shortened

DEEPEST = 254
"""Objects and arrays within each other: so many does orjson write."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
# From so many digits on a number is no 64 bit integer, and orjson rounds it.
_MANY_DIGITS = b"0" * 19


class BrokenJSONError(Exception):
    """Text that is no JSON.

    Attributes:
        position: The offending character's.
        may_go_on: Whether more text could make it whole.
    """

    def __init__(self, message: str, position: int, *, may_go_on: bool = False) -> None:
        super().__init__(message)
        self.position = position
        self.may_go_on = may_go_on


class _RefusedValueError(Exception):
    """A value that Python's decoder would take and the standard does not."""


def decode_quickly(raw: bytes) -> Any:
    """Return the value of one JSON text, several times faster than ``decode_at``, where there is no doubt about it.

    Raises:
        ValueError: It is no JSON, or holds what deserves a closer look: ask ``decode_at``.
    """
    value = orjson.loads(raw)
    try:
        written = orjson.dumps(value)
    except TypeError as error:  # nested more deeply than it writes
        raise ValueError("it may be nested too deeply") from error
    # The decoder keeps the last of two equal keys: written again, the text would have fewer quotes.
    if b"\\u0022" in raw or raw.count(b'"') != written.count(b'"'):
        raise ValueError("a key may stand there twice")
    if _MANY_DIGITS in raw.translate(_DIGITS):
        raise ValueError("a number may be too long")
    return value


class Decoder:
    """Decodes values that stand in a longer text."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)

    def decode_at(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that starts at ``start``, and where it ends.

        Raises:
            BrokenJSONError: There is none; the message says why, and what to do.
        """
        try:
            value, end = self._decoder.raw_decode(text, start)
            # Half a surrogate pair can only come from an escape.
            if text.find("\\u", start, end) >= 0:
                json.dumps(value, ensure_ascii=False).encode("utf-8")
            if text.count("{", start, end) + text.count("[", start, end) > DEEPEST and _is_deep(value):
                raise RecursionError
            return value, end
        except json.JSONDecodeError as error:
            # One character and no more: what is broken cannot be searched for what must not be told.
            near = repr(text[error.pos]) if error.pos < len(text) else "the end"
            reason = error.msg[0].lower() + error.msg[1:]
            said = f"{reason} before {near}"
            if error.msg.startswith("Unterminated string"):
                said = "a text opens and is never closed: it is cut off, or a quote is missing"
            elif near == repr("\ufeff"):
                said = "a byte order mark stands in it, as where files were joined. Remove the byte order mark"
                raise BrokenJSONError(f"{said}.", error.pos, may_go_on=True) from error
            elif near == "the end":
                said += ": it is cut off, or a bracket is not closed"
            message = f"{said}. Write it with a JSON library."
            raise BrokenJSONError(message, error.pos, may_go_on=True) from error
        except RecursionError as error:
            raise BrokenJSONError(
                f"it is nested too deeply (more than {DEEPEST} levels). Flatten it.", start
            ) from error
        except UnicodeEncodeError as error:
            message = "it holds half a surrogate pair (\\ud800 to \\udfff), which is no character. Remove it."
            raise BrokenJSONError(message, start) from error
        except _RefusedValueError as error:
            raise BrokenJSONError(f"{error}.", start) from error
        except ValueError as error:
            # What is left is Python's limit on the digits of an integer.
            raise BrokenJSONError("it holds a number with thousands of digits. Write it as a string.", start) from error


def decode_text(text: str) -> Any:
    """Return the value of a text that holds JSON and nothing else, as a field of a table may.

    Raises:
        BrokenJSONError: It does not; the message says why, and what to do.
    """
    try:
        return decode_quickly(text.encode())
    except ValueError:  # whatever it is, it is told by those who take their time
        pass
    stripped = text.strip(" \t\r\n")
    value, end = Decoder().decode_at(stripped, 0)
    if end < len(stripped):
        raise BrokenJSONError(f"it goes on after its value, at character {end + 1}. Remove what follows.", end)
    return value


def why_not_json(value: Any) -> str | None:
    """Return what in a value JSON cannot hold, as the end of a sentence; None where there is nothing.

    Tables and loaders know more values than JSON: dates, bytes, and numbers that are none.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "half a surrogate pair, which is no character"
    except TypeError as error:  # "Object of type date is not JSON serializable"
        kind = str(error).partition(" type ")[2].partition(" ")[0]
        return f"a value of the type {kind}" if kind else "a key that is no text"
    except RecursionError:
        return "values that are nested too deeply"
    except ValueError:
        return "NaN or an infinite number"
    return None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _RefusedValueError(f"the key {shortened(repeated)} occurs twice in one object; remove one")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _RefusedValueError(f"{name} is no JSON value; write null or a number")
