"""Characters that no reader of the text sees, or that stand where a conversion went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from afinador.data.blanks import is_missing
from afinador.data.records import Problem, Record

# White space, the next-line character and the line and paragraph separators are text; the rest of the control
# characters is not. The overrides of writing direction show a text that is not the one that is learnt.
_CONTROL = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
_DIRECTION = "\u202a-\u202e\u2066-\u2069"
_BROKEN = "\ufffd\ufeff\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff"
_STRANGE = re.compile(f"[{_CONTROL}{_DIRECTION}{_BROKEN}]")

# What the bytes of JSON in UTF-8 hold wherever the decoded text could hold one of these: an escape, or a byte that is
# rare enough to be looked for alone before what follows it.
_ESCAPE_OF_STRANGE = re.compile(rb"\\(?:[bf]|u(?:00[01789]|00[cC][23]\\u00|00[eE]2\\u20[aA][cC]|20[26]|[fF][dDeEfF]))")
_BYTES_OF_STRANGE = (
    (b"\xc2", re.compile(rb"\xc2[\x80-\x84\x86-\x9f]")),
    (b"\xe2", re.compile(rb"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])")),
    (b"\xef", re.compile(rb"\xef[\xb7\xbb\xbf][\x90-\xbf]")),
    (b"\x83", re.compile(rb"(?<=\xc3)\x83\xc2[\xa0-\xbf]")),
    (b"\x82", re.compile(rb"(?<=\xc3)\x82\xc2[\xa0-\xbf]|(?<=\xc3\xa2\xe2)\x82\xac")),
)

_FEW = 2000
# What letters and signs of Western languages look like in UTF-8 that was read as Latin-1 or Windows-1252.
_MISREAD = re.compile("\u00c3[\u00a0-\u00bf]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac[\u0080-\uffff]")

_CONTROL_BYTES = [bytes([code]) for code in (*range(0x09), *range(0x0E, 0x20), 0x7F)]

_NAMES = {
    "\x00": "a NUL character (U+0000)",
    "\x1b": "a terminal escape (U+001B)",
    "\ufffd": "the replacement character (U+FFFD), which stands where a conversion failed",
    "\ufeff": "a byte order mark (U+FEFF) inside the text",
}


def may_be_strange(raw: bytes) -> bool:
    """Tell whether lines of JSON in UTF-8 can hold such characters; False is certain, True is not."""
    return b"\x7f" in raw or _ESCAPE_OF_STRANGE.search(raw) is not None or has_strange_bytes(raw)


def may_be_strange_text(raw: bytes) -> bool:
    """Tell the same of plain text in UTF-8, which may hold control characters as they are."""
    return any(control in raw for control in _CONTROL_BYTES) or has_strange_bytes(raw)


def has_strange_bytes(raw: bytes) -> bool:
    """Tell the same of all characters beyond ASCII."""
    return not raw.isascii() and any(_holds(raw, first, pattern) for first, pattern in _BYTES_OF_STRANGE)


def _holds(raw: bytes, first: bytes, pattern: re.Pattern[bytes]) -> bool:
    """Tell whether a pattern that begins with a byte is found: from one to the next of these, where they are few."""
    at = raw.find(first)
    for _ in range(_FEW):
        if at < 0:
            return False
        if pattern.match(raw, at):
            return True
        at = raw.find(first, at + 1)
    return at >= 0 and pattern.search(raw, at) is not None


def strange_characters(record: Record, texts: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Yield one warning for a record, at its first such character, and one at the first that was read in a wrong encoding."""
    together = "\n".join([text for _, text in texts])
    if not _may_hold_strange(together) and not _may_be_misread(together):
        return
    yield from _misread(record, texts)
    for field, text in texts:
        found = _STRANGE.search(text)
        if found is None:
            continue
        character = found[0]
        code = "invalid_character" if re.match(f"[{_BROKEN}]", character) else "control_character"
        said = f"{record.place}: {field} holds {_name_of(character)}, at position {found.start() + 1}. {_remedy_of(character)}"
        yield Problem(code, said, record.line, field)
        return


def _may_hold_strange(text: str) -> bool:
    # All but one of them are not printable, which is known in a fifth of the time that a search takes.
    is_plain = text.replace("\n", "").isprintable() and "\ufffd" not in text
    return not is_plain and _STRANGE.search(text) is not None


def _may_be_misread(text: str) -> bool:
    return not text.isascii() and _MISREAD.search(text) is not None


def _name_of(character: str) -> str:
    number = f"U+{ord(character):04X}"
    if re.match(f"[{_DIRECTION}]", character):
        return f"an override of the writing direction ({number})"
    return _NAMES.get(character) or f"the character {number}, which is none of a text"


def _remedy_of(character: str) -> str:
    if "\x80" <= character <= "\x9f":
        meant = bytes([ord(character)]).decode("cp1252", errors="ignore")
        if meant:
            return (
                f"In Windows-1252 its byte is {meant!r}, so that the text was most likely read as Latin-1 by mistake: declare "
                "encoding windows-1252 instead of latin-1, or export it again, as UTF-8."
            )
    return "Remove it, unless it is meant to be learnt."


def _misread(record: Record, texts: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    for field, text in texts:
        for found in _MISREAD.finditer(text):
            try:
                meant = found[0].encode("cp1252").decode()
            except UnicodeError:
                continue
            said = (
                f"{record.place}: {field} holds {found[0]!r} where {meant!r} was meant, at position {found.start() + 1}: it "
                "was UTF-8 and has been read in another encoding. Export it again, as UTF-8."
            )
            yield Problem("misread_encoding", said, record.line, field)
            return


def missing_answers(record: Record, texts: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Yield a warning for each text that is learnt and is what programs write where a value is missing."""
    for field, text in texts:
        if is_missing(text):
            said = (
                f"{record.place}: {field} is {text!r}, as programs write where a value is missing. Remove the record, unless "
                "it is meant to be learnt."
            )
            yield Problem("missing_value", said, record.line, field)
