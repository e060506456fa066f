"""What looks like personal data or a secret: its kind and its place are told, it itself never is.

All patterns are bounded, so that no text takes longer than its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from afinador.data.records import Problem, Record

CHARACTERS_SEARCHED = 200_000
"""Of a longer text only the beginning is searched."""

_NON_DIGITS = re.compile(r"\D")
# Phone numbers as people write them: with a country code, or three or more groups; no dates and no plain numbers.
_EXAMPLE_DOMAINS = ("example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost")
_LENGTHS_OF_IBAN = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18,
    "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "GT": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18,
    "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SV": 28, "TR": 26,
}  # fmt: skip


def _is_real_address(found: str) -> bool:
    return not found.lower().endswith(_EXAMPLE_DOMAINS)


def _is_iban(found: str) -> bool:
    compact = found.replace(" ", "").upper()
    length = _LENGTHS_OF_IBAN.get(compact[:2])
    if length is None or len(compact) < length:
        return False
    compact = compact[:length]
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def _is_card_number(found: str) -> bool:
    digits = [int(digit) for digit in _NON_DIGITS.sub("", found)]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2 or digits[0] not in (2, 3, 4, 5, 6):
        return False
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone_number(found: str) -> bool:
    return 9 <= len(_NON_DIGITS.sub("", found)) <= 15


@dataclass(frozen=True)
class _Kind:
    """One kind of what should not be learnt.

    Attributes:
        hints: Texts without any of these are not searched, which is much faster; none of them means all are.
        holds: Whether what was found is one indeed.
    """

    code: str
    name: str
    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()
    holds: Callable[[str], bool] | None = None

    def is_in(self, text: str) -> bool:
        """Tell whether a text holds one."""
        if self.hints and not any(hint in text for hint in self.hints):
            return False
        return any(self.holds is None or self.holds(found[0]) for found in self.pattern.finditer(text))

    def masked_in(self, text: str) -> str:
        """Return a text with a word for this kind in the place of each."""
        if self.hints and not any(hint in text for hint in self.hints):
            return text
        return self.pattern.sub(
            lambda found: f"[{self.name}]" if self.holds is None or self.holds(found[0]) else found[0], text
        )


_TOKEN_BEGINNINGS = (
    "sk-",
    "sk_live_",
    "rk_live_",
    "hf_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "AIza",
    "xox",
    "npm_",
    "pypi-",
    "eyJ",
)
_KINDS_WITH_DIGITS = (
    _Kind("personal_iban", "a bank account number (IBAN)", re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), holds=_is_iban),
    _Kind("personal_card", "a payment card number", re.compile(r"(?<![\d.,-])(?:3[47][0-9]{2}([ -]?)[0-9]{6}\1[0-9]{5}|[2-6][0-9]{3}([ -]?)[0-9]{4}\2[0-9]{4}\2[0-9]{4}(?:\2[0-9]{3})?)(?![\d.,-]?\d)"), holds=_is_card_number),
    _Kind("personal_phone", "a telephone number", re.compile(r"(?<![\w.+])(?:\+[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{2,4}(?:[ .-]?[0-9]{2,4}){1,4}|\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}|[0-9]{3}[-.][0-9]{3}[-.][0-9]{4}|[6-9][0-9]{2}(?: [0-9]{2}){3}|[6-9][0-9]{2}(?: [0-9]{3}){2})(?![\w-])"), holds=_is_phone_number),
)  # fmt: skip
_KINDS = (
    _Kind("personal_email", "an e-mail address", re.compile(r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"), ("@",), _is_real_address),
    _Kind("secret_private_key", "a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"), ("PRIVATE KEY",)),
    _Kind("secret_token", "an access token or API key", re.compile(
        r"(?<![A-Za-z0-9])(?:sk-(?:[a-z]{2,12}-){0,2}[A-Za-z0-9_]{20,200}|[sr]k_live_[A-Za-z0-9]{16,200}|hf_[A-Za-z0-9]{30,60}|gh[pos]_[A-Za-z0-9]{36,255}"
        r"|github_pat_[A-Za-z0-9_]{40,255}|glpat-[A-Za-z0-9_-]{20,60}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[A-Za-z0-9_-]{35}|xox[abprs]-[A-Za-z0-9-]{10,200}"
        r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,2000})"
    ), _TOKEN_BEGINNINGS),
)  # fmt: skip
# Of a key that is quoted the secret is what follows its first line.
_WHOLE_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,80}-----|\Z)", re.DOTALL
)
# All hints of one of these characters, which is looked for first: most texts hold few of them, and one character is
# found in a tenth of the time.
_RARE_CHARACTERS = "@VJA_-x"
_HINTS_WITH = {
    rare: [
        hint for kind in _KINDS for hint in kind.hints if rare in hint and not set(hint) & set(_RARE_CHARACTERS[:at])
    ]
    for at, rare in enumerate(_RARE_CHARACTERS)
}
# Nothing that is searched for by its digits has fewer of them in a row, spaces and the like between them aside.
_MANY_DIGITS = re.compile(r"[0-9](?:[ ().-]{0,2}[0-9]){6}")


def may_be_personal(texts: Sequence[str]) -> bool:
    """Tell whether texts can hold any of it; False is certain, True is not."""
    together = "\n".join(texts)
    if any(rare in together and any(hint in together for hint in hints) for rare, hints in _HINTS_WITH.items()):
        return True
    return _MANY_DIGITS.search(together) is not None


def personal_data(record: Record, texts: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Yield a warning for each kind in a record, at the first field that holds it."""
    fields, all_texts = zip(*texts, strict=True)
    # No pattern goes beyond the end of a line, so that one search sees all fields.
    together = "\n".join(text[:CHARACTERS_SEARCHED] for text in all_texts)
    for kind in (*_KINDS, *_KINDS_WITH_DIGITS) if _MANY_DIGITS.search(together) else _KINDS:
        if kind.is_in(together):
            field = next(field for field, text in zip(fields, all_texts, strict=True) if kind.is_in(text))
            said = f"{record.place}: {field} seems to hold {kind.name}. A model may repeat it to others: remove or replace it."
            yield Problem(kind.code, said, record.line, field)


def masked(text: str) -> str:
    """Return a text with the name of its kind in the place of each that it holds, for messages that quote it."""
    text = _WHOLE_PRIVATE_KEY.sub("[a private key]", text)
    for kind in (*_KINDS, *_KINDS_WITH_DIGITS) if _MANY_DIGITS.search(text) else _KINDS:
        text = kind.masked_in(text)
    return text
