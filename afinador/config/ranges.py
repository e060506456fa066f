"""One value held against its range."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from afinador.errors import InvalidRequestError, OutOfRangeError
from afinador.wording import shown

MULTIPLIER = "learning_rate_multiplier"


def checked_value(key: str, value: Any, entry: dict[str, Any]) -> Any:
    """Return a value in the type of its default, if it is within its range.

    Raises:
        OutOfRangeError: It is not; the message names what was given and what is allowed.
        InvalidRequestError: It has the wrong type.
    """
    param = f"hyperparameters.{key}"
    if "allowed" in entry:
        for allowed in entry["allowed"]:
            if value == allowed or (isinstance(allowed, int) and value == str(allowed)):
                return allowed
        listed = ", ".join(map(str, entry["allowed"]))
        raise OutOfRangeError(f"{key} is {shown(value)}; allowed are: {listed}.", param=param)
    if "minimum" not in entry:
        return value
    if value is None and entry["nullable"]:
        return None
    number = read_number(key, value)
    if not entry["minimum"] <= number <= entry["maximum"]:
        raise OutOfRangeError(
            f"{key} is {shown(value)}; it must be from {entry['minimum']} to {entry['maximum']}.", param=param
        )
    if entry["whole"] and not number.is_integer():
        raise InvalidRequestError(f"{key} is {shown(value)}; it must be a whole number.", param=param)
    return int(number) if entry["whole"] else number


def read_number(key: str, value: Any) -> float:
    """Return a number that may be given as text: YAML reads ``1e-4`` as one.

    Raises:
        InvalidRequestError: It is none.
    """
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        with contextlib.suppress(ValueError):
            try:
                return float(value)
            except OverflowError:
                return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    raise InvalidRequestError(f"{key} is {shown(value)}; it must be a number.", param=f"hyperparameters.{key}")


def apply_multiplier(given: dict[str, Any], limits: dict[str, dict[str, Any]]) -> None:
    """Put a learning rate in the place of the multiplier: so many times the method's default.

    Raises:
        InvalidRequestError: There is a learning rate, too, or the multiplier is no number.
        OutOfRangeError: What comes of it is outside the range of learning rates.
    """
    multiplier, param = given.pop(MULTIPLIER), f"hyperparameters.{MULTIPLIER}"
    if multiplier in (None, "auto"):
        return
    if given.get("learning_rate") not in (None, "auto"):
        raise InvalidRequestError(f"Give learning_rate or {MULTIPLIER}, not both.", param=param)
    factor = read_number(MULTIPLIER, multiplier)
    if not factor > 0:
        raise OutOfRangeError(f"{MULTIPLIER} is {shown(multiplier)}; it must be above 0.", param=param)
    entry = limits["learning_rate"]
    given["learning_rate"] = rate = factor * entry["default"]
    if not entry["minimum"] <= rate <= entry["maximum"]:
        bounds = " to ".join(f"{entry[bound] / entry['default']:g}" for bound in ("minimum", "maximum"))
        said = f"{MULTIPLIER} is {shown(multiplier)}, times the method's learning_rate {entry['default']}"
        raise OutOfRangeError(f"{said}; it must be from {bounds}.", param=param)
