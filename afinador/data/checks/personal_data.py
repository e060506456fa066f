"""What looks like personal data or a secret: its kind and its place are told, it itself never is.

All patterns are bounded, so that no text takes longer than its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from afinador.data.checks.identity_numbers import (
    is_card_number,
    is_curp,
    is_iban,
    is_phone_number,
    is_public_address,
    is_rfc_of_person,
    is_spanish_identity,
)
from afinador.data.checks.secret_values import (
    FEWEST_CHARACTERS,
    FEWEST_CHARACTERS_OF_KEY,
    is_key,
    is_password,
    is_password_of_address,
)
from afinador.data.records import Problem, Record

CHARACTERS_SEARCHED = 200_000
"""Of a longer text only the beginning is searched."""
FIELDS_TOLD = 1000
"""Of one record; none of one kind hides those of another."""

_EXAMPLE_DOMAINS = ("example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost")


def _is_real_address(found: str) -> bool:
    return not found.lower().endswith(_EXAMPLE_DOMAINS)


@dataclass(frozen=True)
class _Kind:
    """One kind of what should not be learnt.

    Attributes:
        pattern: If it has a group, that alone is meant, and all else is what stands beside it.
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
        return self._may_be_in(text) and any(map(self._is_one, self.pattern.finditer(text)))

    def masked_in(self, text: str) -> str:
        """Return a text with a word for this kind in the place of each."""
        return self.pattern.sub(self._masked, text) if self._may_be_in(text) else text

    def _may_be_in(self, text: str) -> bool:
        return not self.hints or any(hint in text for hint in self.hints)

    def _is_one(self, found: re.Match[str]) -> bool:
        return self.holds is None or self.holds(found[found.lastgroup or 0])

    def _masked(self, found: re.Match[str]) -> str:
        if not self._is_one(found):
            return found[0]
        start, end = (at - found.start() for at in found.span(found.lastgroup or 0))
        return f"{found[0][:start]}[{self.name}]{found[0][end:]}"


_TOKEN_BEGINNINGS = (
    "sk-", "sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_", "hf_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "AKIA",
    "ASIA", "AIza", "xox", "npm_", "pypi-A", "eyJ", "ya29.", "SG.", "SK", "hooks.slack.com/s",
)  # fmt: skip
# Between the name of a secret and itself: of JSON, of programs, of files of settings.
_GIVEN = r"""[\\"'`]{0,2}\]?[ \t]{0,3}(?::=|=>|[:=])[ \t]{0,3}[\\"'`]{0,2}"""


def _any_case(*words: str) -> str:
    """Return a pattern of words as they are written in names; as plain letters they are found in a third of the time."""
    return "|".join(each for word in words for each in (word, word.capitalize(), word.upper()))


_NAME_OF_PASSWORD = (
    rf"(?:{_any_case('passw')})(?i:or[dt]|d)|{_any_case('pwd')}|(?:{_any_case('contrase')})(?i:ñ|n\u0303?)[aA]"
)
_BEFORE_KEY = "|".join(
    rf"(?<={word}{between}key)"
    for word in ("api", "access", "account", "auth", "encryption", "private", "secret", "signing")
    for between in ("", "[_ -]")
)
_PASSWORD = rf"""(?P<one>[^\s"'`<>(){{}}\[\],;\\$%*|!/~.][^\s"'`<>(){{}}\[\],;\\]{{{FEWEST_CHARACTERS - 1},100}}+)(?![(\[{{<])"""
_KEY = rf"(?P<one>[A-Za-z0-9+/_.~-]{{{FEWEST_CHARACTERS_OF_KEY},2000}}+=*)(?![(\[{{<])"
_HINTS_OF_PASSPORTS = ("assport", "asaporte", "ASSPORT", "ASAPORTE")
_IS = r"[ \t]{1,3}(?i:is|es|was|era)[ \t:]{1,3}[\"'`]?"
_A_PASSWORD = "a password"
_A_TOKEN = "an access token or API key"
_A_NATIONAL_ID = "a national identity number"
_REST_OF_CURP = (
    r"[AEIOUX][A-Z]{2}[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[HMX]"
    r"(?:AS|B[CS]|C[CHLMS]|D[FG]|G[RT]|HG|JC|M[CNS]|N[ELT]|OC|PL|Q[RT]|S[LPR]|T[CLS]|VZ|YN|ZS)[B-DF-HJ-NP-TV-ZX]{3}[A-Z0-9][0-9](?!\w)"
)
# What is behind the first character is looked at after it: a search is faster from one character of a few to the next.
_KINDS_WITH_DIGITS = (
    _Kind("secret_token", _A_TOKEN, re.compile(r"[0-9](?<![A-Za-z0-9].)[0-9]{7,9}:AA[A-Za-z0-9_-]{30,35}"), (":AA",)),
    _Kind("personal_iban", "a bank account number (IBAN)", re.compile(r"[A-Z](?<!\w.)[A-Z][0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), holds=is_iban),
    _Kind("personal_card", "a payment card number", re.compile(r"[2-6](?<![\d.,-].)(?:(?<=3)[47][0-9]{2}([ -]?)[0-9]{6}\1[0-9]{5}|[0-9]{3}([ -]?)[0-9]{4}\2[0-9]{4}\2[0-9]{4}(?:\2[0-9]{3})?)(?![\d.,-]?\d)"), holds=is_card_number),
    _Kind("personal_passport", "a passport number", re.compile(r"(?i:passport|pasaporte)(?:[ \t.:#=º°-]{1,3}(?i:number|num|nº|no|número|numero|is|es|de|card)){0,3}[ \t.:#=º°\"-]{1,4}(?P<one>[A-Z]{0,3}[0-9]{6,9}[A-Z]?)(?!\w)"),
          _HINTS_OF_PASSPORTS),
    _Kind("personal_national_id", _A_NATIONAL_ID, re.compile(r"[0-9XYZ](?<![\w.-].)(?:(?<=[0-9])(?:[0-9]{7}|[0-9]\.[0-9]{3}\.[0-9]{3})|(?<=[XYZ])-?[0-9]{7})-?[A-Z](?![\w-])"), holds=is_spanish_identity),
    _Kind("personal_national_id", _A_NATIONAL_ID, re.compile(r"[0-8](?<![\w.-].)(?<!0(?=00))(?<!6(?=66))[0-9]{2}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")),
    _Kind("personal_national_id", _A_NATIONAL_ID, re.compile(rf"[A-Z](?<!\w.){_REST_OF_CURP}"), holds=is_curp),
    _Kind("personal_national_id", _A_NATIONAL_ID, re.compile(rf"(?:CURP|Curp|curp)[^\w\n]{{1,4}}(?:es[^\w\n]{{1,3}})?(?P<one>[A-Z]{_REST_OF_CURP})")),
    _Kind("personal_national_id", "a taxpayer's number (RFC)", re.compile(
        r"[A-ZÑ&](?<!\w.)[AEIOUX][A-ZÑ&]{2}-?[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-?[A-Z0-9]{2}[0-9A](?!\w)"
    ), holds=is_rfc_of_person),
    _Kind("personal_ip_address", "an IP address", re.compile(r"(?:IP|ip|Ip)(?<![A-Za-z0-9]..)(?:v4)?(?![A-Za-z0-9])[^0-9\n]{1,24}(?P<one>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?!\.?[0-9]|/[0-9])"), holds=is_public_address),
    _Kind("personal_phone", "a telephone number", re.compile(r"[+(0-9](?<![\w.+].)(?:(?<=\+)[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{2,4}(?:[ .-]?[0-9]{2,4}){1,4}|(?<=\()[0-9]{3}\) ?[0-9]{3}-[0-9]{4}|(?<=[0-9])[0-9]{2}[-.][0-9]{3}[-.][0-9]{4}|(?<=[6-9])[0-9]{2}(?:(?: [0-9]{2}){3}|(?: [0-9]{3}){2}))(?![\w-])"), holds=is_phone_number),
)  # fmt: skip
_KINDS = (
    _Kind("secret_private_key", "a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"), ("PRIVATE KEY",)),
    _Kind("secret_password", _A_PASSWORD, re.compile(r"://[^\s/:@\"'<>]{0,64}:(?P<one>[^\s/:@\"'`<>{}()\[\]$%*][^\s/@\"'<>{}]{0,100})@(?=[\w.-])"), ("@",), is_password_of_address),
    _Kind("secret_token", _A_TOKEN, re.compile(
        r"(?<![A-Za-z0-9])(?:sk-(?:[a-z]{2,12}-){0,2}[A-Za-z0-9_]{20,200}|sk-(?:ant-[a-z]{2,8}[0-9]{2}|proj|svcacct|admin)-[A-Za-z0-9_-]{20,250}"
        r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,200}|whsec_[A-Za-z0-9+/]{24,100}|hf_[A-Za-z0-9]{30,60}|gh[pos]_[A-Za-z0-9]{36,255}"
        r"|github_pat_[A-Za-z0-9_]{40,255}|glpat-[A-Za-z0-9_-]{20,60}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[A-Za-z0-9_-]{35}|xox[abprs]-[A-Za-z0-9-]{10,200}"
        r"|npm_[A-Za-z0-9]{36}|pypi-A[A-Za-z0-9_-]{50,250}|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,2000}"
        r"|ya29\.[A-Za-z0-9_-]{20,500}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}"
        r"|SK[0-9a-f]{32}(?![A-Za-z0-9])|hooks\.slack\.com/services/T[A-Z0-9]{5,15}/B[A-Z0-9]{5,15}/[A-Za-z0-9]{16,40})"
    ), _TOKEN_BEGINNINGS),
    _Kind("personal_email", "an e-mail address", re.compile(r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"), ("@",), _is_real_address),
)  # fmt: skip
# Names that most texts have for other reasons: these are searched at once, wherever one stands.
_KINDS_BY_NAME = (
    _Kind("secret_token", _A_TOKEN, re.compile(rf"(?:{_any_case('key')})(?i:{_BEFORE_KEY}){_GIVEN}{_KEY}"), ("key", "Key", "KEY"), is_key),
    _Kind("secret_token", _A_TOKEN, re.compile(rf"(?:{_any_case('secret', 'token')}){_GIVEN}{_KEY}"), ("ecret", "ECRET", "oken", "OKEN"), is_key),
    _Kind("secret_token", _A_TOKEN, re.compile(rf"(?:Bearer|Basic)[ \t]{{1,3}}{_KEY}"), ("Bearer", "Basic"), is_key),
    _Kind("secret_password", _A_PASSWORD, re.compile(rf"(?:{_NAME_OF_PASSWORD})(?:[ \t][\w-]{{1,15}}){{0,4}}(?:{_GIVEN}|{_IS}){_PASSWORD}"),
          ("asswor", "ASSWOR", "wd", "WD", "ontrase", "CONTRASE"), is_password),
    _Kind("secret_password", _A_PASSWORD, re.compile(rf"(?:{_any_case('secret')}|(?<![A-Za-z])(?:{_any_case('pass')})){_GIVEN}{_PASSWORD}"),
          ("ecret", "ECRET", "pass", "Pass", "PASS"), is_password),
)  # fmt: skip
# Of a key that is quoted the secret is what follows its first line.
_WHOLE_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,80}-----|\Z)", re.DOTALL
)
# Most texts hold few of these characters, and one character is found in a tenth of the time of a hint: a hint is looked for
# where the first of them that it has is.
_RARE_CHARACTERS = "@VJKzG_Ax/9-"
_HINTS = [hint for kind in _KINDS for hint in kind.hints]
_HINTS_WITH = [
    (rare, [hint for hint in _HINTS if rare in hint and not set(hint) & set(_RARE_CHARACTERS[:at])])
    for at, rare in enumerate(_RARE_CHARACTERS)
]
# Names of secrets, and digits with spaces and the like between them, are looked for in texts that are squeezed: without
# spaces and quotes, in small letters, with 0 for any digit and a colon for what stands between a name and its value.
_SQUEEZED = bytes.maketrans(b"123456789=ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"000000000:abcdefghijklmnopqrstuvwxyz")
_LEFT_OUT = b" ().-_\"'`\\]\t"
_SIX_DIGITS, _SEVEN_DIGITS = b"000000", b"0000000"
_NAMES_IN_SENTENCES = (b"passwor", b"contrase")
_NAMES = (b"key:", b"token:", b"secret:", b"wd:", b"pass:", b"bearer", b":basic")
# Nothing that is searched for by its digits has fewer of them in a row than seven, spaces and the like between them aside, but
# for the six of a date, behind letters, and those of a passport, behind its name.
_MANY_DIGITS = re.compile(r"[0-9]" + 6 * r"[ ().-]{0,2}+[0-9]")
# Capital letters (of the letter Ñ the second byte) are written as A, digits as 0, and dashes left out.
_LETTERS_AND_DIGITS = bytes.maketrans(b"BCDEFGHIJKLMNOPQRSTUVWXYZ&\x91123456789", 27 * b"A" + 9 * b"0")
_LETTER_AND_SIX = b"A" + _SIX_DIGITS
_LETTER_AND_SIX_DIGITS = re.compile(r"[0-9]{6}(?:(?<=[A-ZÑ&].{6})|(?<=[A-ZÑ&]-.{6}))")


def may_be_personal(texts: Sequence[str]) -> bool:
    """Tell whether texts can hold any of it; False is certain, True is not."""
    together = "\n".join(texts)
    encoded = together.encode("utf-8", "surrogatepass")
    squeezed = encoded.translate(_SQUEEZED, _LEFT_OUT)
    if _SIX_DIGITS in squeezed and (
        _LETTER_AND_SIX in encoded.translate(_LETTERS_AND_DIGITS, b"-") or _names_a_passport(together)
    ):
        return True
    if _SEVEN_DIGITS in squeezed and _MANY_DIGITS.search(together) is not None:
        return True
    if _has_any(together):
        return True
    # Most texts with the name of a secret mean something else by it.
    return _names_a_secret(squeezed) and any(kind.is_in(together) for kind in _KINDS_BY_NAME)


def _names_a_passport(text: str) -> bool:
    return any(hint in text for hint in _HINTS_OF_PASSPORTS)


def _names_a_secret(squeezed: bytes) -> bool:
    names = _NAMES_IN_SENTENCES + _NAMES if b":" in squeezed else _NAMES_IN_SENTENCES
    return any(map(squeezed.__contains__, names))


def _has_any(text: str) -> bool:
    for rare, hints in _HINTS_WITH:
        if rare in text:
            for hint in hints:
                if hint in text:
                    return True
    return False


def _kinds_for(text: str) -> tuple[_Kind, ...]:
    kinds = _KINDS + _KINDS_BY_NAME
    has_digits = _MANY_DIGITS.search(text) or _LETTER_AND_SIX_DIGITS.search(text) or _names_a_passport(text)
    return kinds + _KINDS_WITH_DIGITS if has_digits else kinds


def personal_data(record: Record, texts: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Yield a warning for each kind in each field of a record, of each pattern in the first ``FIELDS_TOLD``."""
    fields = [field for field, _ in texts]
    searched = [text[:CHARACTERS_SEARCHED] for _, text in texts]
    # No pattern goes beyond the end of a line, so that one search sees all fields.
    together = "\n".join(searched)
    told: set[tuple[str, str]] = set()
    for kind in _kinds_for(together):
        if not kind.is_in(together):
            continue
        held = [field for field, text in zip(fields, searched, strict=True) if kind.is_in(text)]
        for field in held[:FIELDS_TOLD]:
            if (kind.code, field) not in told:
                said = f"{record.place}: {field} seems to hold {kind.name}. A model may repeat it to others: remove or replace it."
                yield Problem(kind.code, said, record.line, field)
            told.add((kind.code, field))
        # What is one thing is not told as another, such as a password before an @ as an address.
        searched = [kind.masked_in(text) for text in searched]
        together = "\n".join(searched)


def masked(text: str) -> str:
    """Return a text with the name of its kind in the place of each that it holds, for messages that quote it."""
    text = _WHOLE_PRIVATE_KEY.sub("[a private key]", text)
    for kind in _kinds_for(text):
        text = kind.masked_in(text)
    return text
