"""What stands beside the name of a secret: told from placeholders, names and code."""

from __future__ import annotations

import re

FEWEST_CHARACTERS = 6
"""Shorter passwords are not told: too much else is as short."""

FEWEST_CHARACTERS_OF_KEY = 16
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"[0-9]")
_AROUND = "0123456789!@#$%^&*+?~_.-"
_SIGN = re.compile(r"[!@#$%^&*+?~]")
_END = re.compile(r"[.,:;!?)]+\Z")
_CLASSES = re.compile(r"[A-Z]+|[a-z]+|[0-9]+")
_LONG_RUN = re.compile(rf"[A-Za-z0-9]{{{FEWEST_CHARACTERS_OF_KEY}}}")
_PLACEHOLDER = re.compile(
    r"(?i)your|placeholder|change[-_]?me|dummy|redacted|insert|example[-_]|[-_]example|xxx|\*{3}|\.{3}|…|0{8}"
)
_SAID_OF_PASSWORDS = re.compile(
    r"(?i)^0x|://|sha-?[0-9]|md5|base64|utf-?[0-9]|argon2|pbkdf2|aes-?[0-9]|rot13|varchar|example|ejemplo"
)
# db-credentials-v2, user.password1
_NAME = re.compile(r"[a-z]{2,}(?:[-_.][a-z]{2,})*[-_.]v?[0-9]{1,2}|.*[._][Pp]ass(?:wd|word)[0-9]?")
_WORDS_OF_NOBODY = frozenset(
    {
        "password",
        "passwd",
        "pass",
        "pwd",
        "contraseña",
        "secret",
        "abc",
        "test",
        "foo",
        "admin",
        "user",
        "root",
        "qwerty",
    }
)
"""With some digits behind them they are what examples are written with, and what everybody guesses first."""


def is_password(found: str) -> bool:
    """Tell whether a word is a password: letters with a digit or a sign among them, and no placeholder."""
    word = _END.sub("", found)
    if len(word) < FEWEST_CHARACTERS or not _LETTER.search(word) or not (_DIGIT.search(word) or _SIGN.search(word)):
        return False
    if _PLACEHOLDER.search(word) or _SAID_OF_PASSWORDS.search(word) or _NAME.fullmatch(word):
        return False
    return not _is_of_nobody(word)


def is_password_of_address(found: str) -> bool:
    """Tell whether what stands before the ``@`` of an address is a password, which there may be of letters alone."""
    return not _PLACEHOLDER.search(found) and not _is_of_nobody(found)


def is_key(found: str) -> bool:
    """Tell whether a word is as random as a key: it has a digit, and a long run, or changes of class, as names have not."""
    digits = len(_DIGIT.findall(found))
    if not digits or found.startswith("0x") or _PLACEHOLDER.search(found) or not _LETTER.search(found):
        return False
    return (digits > 1 and _LONG_RUN.search(found) is not None) or 4 * len(_CLASSES.findall(found)) >= len(found)


def _is_of_nobody(word: str) -> bool:
    return word.strip(_AROUND).lower() in _WORDS_OF_NOBODY
