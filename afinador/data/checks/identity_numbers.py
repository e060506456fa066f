"""Numbers of accounts, cards and persons, told from others by their form and their check digits."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

_NON_DIGITS = re.compile(r"\D")
_LENGTHS_OF_IBAN = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18,
    "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "GT": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18,
    "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SV": 28, "TR": 26,
}  # fmt: skip
_LETTERS_OF_SPAIN = "TRWAGMYFPDXBNJZSQVHLCKE"
_VALUES_OF_CURP = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ")}
_RFC_OF_NOBODY = ("XAXX010101000", "XEXX010101000")


def is_iban(found: str) -> bool:
    """Tell whether an IBAN has the length of its country, and check digits that hold."""
    compact = found.replace(" ", "").upper()
    length = _LENGTHS_OF_IBAN.get(compact[:2])
    if length is None or len(compact) < length:
        return False
    compact = compact[:length]
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def is_card_number(found: str) -> bool:
    """Tell whether the Luhn digit of a payment card holds."""
    digits = [int(digit) for digit in _NON_DIGITS.sub("", found)]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2 or digits[0] not in (2, 3, 4, 5, 6):
        return False
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_phone_number(found: str) -> bool:
    """Tell whether a telephone number has as many digits as one has."""
    return 9 <= len(_NON_DIGITS.sub("", found)) <= 15


def is_spanish_identity(found: str) -> bool:
    """Tell whether the letter of a Spanish DNI, or of the NIE of a foreigner, is that of its digits."""
    first = {"X": "0", "Y": "1", "Z": "2"}.get(found[0], found[0])
    return _LETTERS_OF_SPAIN[int(_NON_DIGITS.sub("", first + found[1:-1])) % 23] == found[-1]


def is_curp(found: str) -> bool:
    """Tell whether the check digit of a Mexican CURP holds."""
    total = sum(_VALUES_OF_CURP[character] * (18 - at) for at, character in enumerate(found[:17]))
    return -total % 10 == int(found[17])


def is_rfc_of_person(found: str) -> bool:
    """Tell whether a Mexican RFC is of somebody, not one of the two that stand for anybody."""
    return found not in _RFC_OF_NOBODY


def is_public_address(found: str) -> bool:
    """Tell whether an IP address, of version 4, may lead to a person: it is none of a private network or an example."""
    try:
        return IPv4Address(found).is_global
    except AddressValueError:
        return False
