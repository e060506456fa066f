"""Characters that no reader of the text sees, or that stand where a conversion went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from afinador.data.blanks import is_missing
from afinador.data.records import Encoding, Problem, Record

# White space, the next-line character and the line and paragraph separators are text; the rest of the control
# characters is not. The overrides of writing direction show a text that is not the one that is learnt.
_CONTROL = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
_DIRECTION = "\u202a-\u202e\u2066-\u2069"
_BROKEN = "\ufffd\ufeff\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff"
_STRANGE = re.compile(f"[{_CONTROL}{_DIRECTION}{_BROKEN}]")

# What the bytes of JSON in UTF-8 hold wherever the decoded text could hold one of these: an escape, or a byte that is
# rare enough to be looked for alone, what may follow that one, and both with what else they stand beside.
_ESCAPE_OF_STRANGE = re.compile(rb"\\(?:[bf]|u(?:00[01789]|00[cC][23]\\u00|00[eE]2\\u20[aA][cC]|20[26]|[fF][dDeEfF]))")
_BYTES_OF_STRANGE = (
    (b"\xc2", bytes(range(0x80, 0xA0)), re.compile(rb"\xc2[\x80-\x84\x86-\x9f]")),
    (b"\xe2", b"\x80\x81", re.compile(rb"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])")),
    (b"\xef", b"\xb7\xbb\xbf", re.compile(rb"\xef[\xb7\xbb\xbf][\x90-\xbf]")),
    (b"\x83", b"\xc2", re.compile(rb"(?<=\xc3)\x83\xc2[\x80-\xbf]")),
    (b"\x82", b"\xc2\xac", re.compile(rb"(?<=\xc3)\x82\xc2[\x80-\xbf]|(?<=\xc3\xa2\xe2)\x82\xac")),
)

_FEW = 2000
CHARACTERS_TOLD = 10
"""So many different ones of each field are told."""

# What UTF-8 looks like that was read as Latin-1 or Windows-1252: its first characters, from which a search goes to the
# next, and what follows. Letters and signs beyond the Western ones may stand beside each other as they do there, unless one
# is a control character; and on a capital letter with an accent a quotation mark of Windows-1252 may follow.
_FIRST = "[\u00c2-\u00f4]"
_FOLLOWS = "[\u0080-\u00bf]"
_FOLLOWS_IN_WINDOWS_1252 = f"[\u0080-\u00bf{bytes(range(0x80, 0xC0)).decode('cp1252', errors='ignore')}]"
_CONTROL_FOLLOWS = "[\u0080-\u0084\u0086-\u009f]"
_MISREAD_ANYWHERE = (
    rf"{_FIRST}(?:(?<=[\u00c2\u00c3]){_FOLLOWS}|(?<=\u00e2)\u20ac{_FOLLOWS_IN_WINDOWS_1252}"
    rf"|(?<=[\u00e0-\u00ef])(?!(?<=\u00e0)[\u0080-\u009f]|(?<=\u00ed)[\u00a0-\u00bf])(?={_FOLLOWS}?{_CONTROL_FOLLOWS}){_FOLLOWS}{{2}}"
    rf"|(?<=[\u00f0-\u00f4])(?!(?<=\u00f0)[\u0080-\u008f]|(?<=\u00f4)[\u0090-\u00bf])(?={_FOLLOWS}{{0,2}}{_CONTROL_FOLLOWS}){_FOLLOWS}{{3}})"
)
_MISREAD_WHOLE = rf"{_MISREAD_ANYWHERE[:-1]}|(?<=[\u00c4-\u00df]){_CONTROL_FOLLOWS})"
_MAY_BE_MISREAD = re.compile(rf"[\u00c2\u00c3]{_FOLLOWS}|\u00e2\u20ac{_FOLLOWS_IN_WINDOWS_1252}")

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
    return not raw.isascii() and any(_holds(raw, *strange) for strange in _BYTES_OF_STRANGE)


def _holds(raw: bytes, first: bytes, seconds: bytes, pattern: re.Pattern[bytes]) -> bool:
    """Tell whether a pattern that begins with two bytes is found: from one to the next of the first, where they are few."""
    at = raw.find(first)
    for _ in range(_FEW):
        if at < 0:
            return False
        if raw[at + 1 : at + 2] in seconds and pattern.match(raw, at):
            return True
        at = raw.find(first, at + 1)
    return at >= 0 and pattern.search(raw, at) is not None


def strange_characters(
    record: Record, texts: Sequence[tuple[str, str]], encoding: Encoding | None = None
) -> Iterator[Problem]:
    """Yield a warning for each such character of each field, where it stands first, and for each field that was misread.

    Args:
        record: Whose texts they are.
        texts: Each behind its place.
        encoding: The declared one of the file.
    """
    together = "\n".join([text for _, text in texts])
    if not _may_hold_strange(together) and not _may_be_misread(together):
        return
    for field, text in texts:
        if not (_may_hold_strange(text) or _may_be_misread(text)):
            continue
        pattern = _MISREAD_WHOLE if _is_utf8_in_latin_1(text) else _MISREAD_ANYWHERE
        misread = re.search(pattern, text)
        if misread is not None:
            said = (
                f"{record.place}: {field} holds {misread[0]!r} where {_meant_by(misread[0])!r} was meant, at position {misread.start() + 1}: it "
                f"was UTF-8 and has been read in another encoding. {_remedy_of_misread(encoding)}"
            )
            yield Problem("misread_encoding", said, record.line, field)
        for character, position in _first_places(text, pattern if misread else None):
            code = "invalid_character" if re.match(f"[{_BROKEN}]", character) else "control_character"
            said = f"{record.place}: {field} holds {_name_of(character)}, at position {position + 1}."
            yield Problem(code, f"{said} {_remedy_of(character, encoding)}", record.line, field)


def _first_places(text: str, misread: str | None) -> Iterator[tuple[str, int]]:
    """Yield the strange characters that are different, and where each stands first.

    What was passed over is not looked at again, so that a text takes its length.

    Args:
        text: Where they are looked for.
        misread: A pattern of what is none of them, if there is any.
    """
    strange = _CONTROL + _DIRECTION + _BROKEN
    plain = rf"[^{strange}\u00c2-\u00f4]++|{misread}|{_FIRST}" if misread else f"[^{strange}]++"
    told, position = "", 0
    while len(told) < CHARACTERS_TOLD:
        passed = f"{plain}|[{told}]++" if told else plain
        found = re.compile(f"(?:{passed})*+(.)", re.DOTALL).match(text, position)
        if found is None:
            return
        yield found[1], found.start(1)
        told, position = told + found[1], found.end()


def _may_hold_strange(text: str) -> bool:
    # All but one of them are not printable, which is known in a fifth of the time that a search takes.
    is_plain = text.replace("\n", "").isprintable() and "\ufffd" not in text
    return not is_plain and _STRANGE.search(text) is not None


def _may_be_misread(text: str) -> bool:
    return not text.isascii() and _MAY_BE_MISREAD.search(text) is not None


def _is_utf8_in_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


def _meant_by(misread: str) -> str:
    """Return what was meant by the characters that UTF-8 was read as."""
    meant = b"".join(_byte_of(each) for each in misread).decode()
    # A control character was misread in its turn, of Windows-1252.
    return (_in_windows_1252(meant) if meant < "\u00a0" else "") or meant


def _byte_of(character: str) -> bytes:
    return character.encode("latin-1" if character <= "\u00ff" else "cp1252")


def _in_windows_1252(character: str) -> str:
    return character.encode("latin-1").decode("cp1252", errors="ignore")


def _name_of(character: str) -> str:
    number = f"U+{ord(character):04X}"
    if re.match(f"[{_DIRECTION}]", character):
        return f"an override of the writing direction ({number})"
    return _NAMES.get(character) or f"the character {number}, which is none of a text"


def _remedy_of(character: str, encoding: Encoding | None) -> str:
    if "\x80" <= character <= "\x9f" and (meant := _in_windows_1252(character)):
        said = f"In Windows-1252 its byte is {meant!r}, so that the text was most likely read as Latin-1 by mistake"
        if encoding == "latin-1":
            return f"{said}: declare encoding windows-1252 instead of latin-1, or export it again, as UTF-8."
        return f"{said} before it was saved. Export it again, as UTF-8."
    return "Remove it, unless it is meant to be learnt."


def _remedy_of_misread(encoding: Encoding | None) -> str:
    if encoding in ("latin-1", "windows-1252"):
        return f"Declare encoding utf-8 instead of {encoding}, or export it again, as UTF-8."
    return "Export it again, as UTF-8."


def missing_values(record: Record, texts: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Yield a warning for each text that is what programs write where a value is missing."""
    for field, text in texts:
        if is_missing(text):
            said = (
                f"{record.place}: {field} is {text!r}, as programs write where a value is missing. Remove the record, unless "
                "it is meant to be learnt."
            )
            yield Problem("missing_value", said, record.line, field)
