"""What pydantic and others find wrong, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from afinador.errors import InvalidRequestError

SHOWN_CHARACTERS = 200
_GREATEST_NUMBER = 10**308

_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_KINDS = {
    "bool": "true or false",
    "dict": "an object",
    "float": "a number",
    "int": "a whole number",
    "list": "an array",
    "model": "an object",
    "string": "a string",
}
_KIND_TAGS = ("str", "constrained-str", "int", "float", "bool")
_MARKS = "letters, digits, dots, dashes and underscores"
_PATTERNS = {
    r"^[A-Za-z0-9._-]{1,96}$": f"1 to 96 {_MARKS}",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$": (
        f"1 to 96 {_MARKS}, beginning with a letter or a digit, once with a slash between two such names"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$": f"1 to 128 {_MARKS}, and begin with a letter or a digit",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$": f"1 to 96 {_MARKS}, and begin with a letter or a digit",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits in small letters",
    r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$": "2 to 63 small letters, digits and dashes, with no dash at either end",
}


def complaint(error: ValidationError) -> tuple[str, str]:
    """Return the first field that is wrong, dotted, and a sentence on it.

    Where a field may be one of several things, the sentence names them all.
    """
    faults = error.errors()
    first = faults[0]
    if first["type"] == "missing":
        field = ".".join(map(str, first["loc"]))
        return field, f"The field {field!r} is required."
    place = _place_of_union(first)
    if place is None:
        field = ".".join(map(str, first["loc"])) or "body"
        return field, f"{field} is {shown(first['input'])}; {demand(first)}."
    alternatives = [fault for fault in faults if _place_of_union(fault) == place]
    field = ".".join(map(str, place))
    # One of the alternatives it is, and only its length or the like is wrong.
    near = next((fault for fault in alternatives if not demand(fault).startswith("it must be ")), None)
    if near is not None:
        return field, f"{field} is {shown(near['input'])}; {demand(near)}."
    given = next((fault["input"] for fault in alternatives if not isinstance(fault["loc"][-1], int)), first["input"])
    kinds = dict.fromkeys(_alternative(fault) for fault in alternatives)
    return field, f"{field} is {shown(given)}; it must be {' or '.join(kinds)}."


def _place_of_union(fault: Mapping[str, Any]) -> tuple[int | str, ...] | None:
    """Return the place of a field of which pydantic tells the type that it has tried, as where several are allowed."""
    place: tuple[int | str, ...] = fault["loc"]
    for index in range(len(place) - 1, 0, -1):
        tag = place[index]
        if isinstance(tag, str) and (tag in _KIND_TAGS or tag.startswith(("list[", "dict["))):
            return place[:index]
    return None


def _alternative(fault: Mapping[str, Any]) -> str:
    kind = demand(fault).removeprefix("it must be ")
    return f"an array in which each is {kind}" if isinstance(fault["loc"][-1], int) else kind


def kind_of(value: object) -> str:
    """Return what JSON calls a value, with its article."""
    return _JSON_NAMES.get(type(value), "something else")


def shown(value: object) -> str:
    """Return a value as a message shows it: as JSON has it where that is a word, cut when it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float) and abs(value) > _GREATEST_NUMBER:  # thousands of digits say no more
        return f"a number {'above 1' if value > 0 else 'below -1'}e308"
    if isinstance(value, str):
        as_typed = "\\" in value and value.isprintable()  # without a second backslash
        text = f"'{value}'" if as_typed else repr(value[: SHOWN_CHARACTERS + 1])
    else:
        text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def demand(fault: Mapping[str, Any]) -> str:
    """Say what a value should have been: the end of the sentence ``NAME is VALUE; …``, without a full stop.

    Args:
        fault: One of pydantic's ``errors()``.
    """
    kind, _, trouble = fault["type"].partition("_")
    given = fault.get("ctx") or {}
    if fault["type"] == "string_pattern_mismatch":
        return f"it must hold {_PATTERNS.get(given['pattern'], given['pattern'])}"
    if fault["type"] == "value_error":
        return str(given.get("error") or "it cannot be used")
    if fault["type"] in ("literal_error", "enum"):
        return f"it must be {given['expected']}"
    if "min_length" in given:
        return f"it must not be shorter than {given['min_length']}"
    if "max_length" in given:
        return f"it must not be longer than {given['max_length']}"
    for bound, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if bound in given:
            return f"it must be {words} {given[bound]}"
    if kind in _KINDS and trouble.startswith(("type", "parsing", "from_float", "attributes_type")):
        return f"it must be {_KINDS[kind]}"
    said = str(fault["msg"])
    return said[:1].lower() + said[1:]


def without_paths(reason: str) -> str:
    """Return the first line of what a system or a library said, without its paths and addresses.

    Where things lie on a server is its own affair.
    """
    return re.sub(r"\S*/\S*", "…", reason.partition("\n")[0])


def first_line(error: Exception) -> str:
    """Return the first line of what an error of a library says, or else its name; without a full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; the ``object_pairs_hook`` of ``json.loads``, which would take the last silently.

    Raises:
        InvalidRequestError: A key stands there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidRequestError(f"The key {key!r} is given twice; keep one of them.", param=key)
        found[key] = value
    return found
