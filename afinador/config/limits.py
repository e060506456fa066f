"""What each key of a method may be: our ranges and defaults, and the operator's over them."""

from __future__ import annotations

from typing import Any

from afinador.config.hyperparameters import ALIASES, DEFAULTS_OF, check_together, shipped, typed
from afinador.config.ranges import checked_value
from afinador.errors import ConfigurationError, InvalidRequestError, OutOfRangeError, nearest

_FILES = sorted({name for names in DEFAULTS_OF.values() for name in names})


def limits_of(tuning_method: str, operator: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Return default, range and allowed values of each key that a method knows.

    Args:
        tuning_method: One of ``METHODS_TODAY``.
        operator: The operator's configuration; its ``defaults`` (key: value) and ``limits``
            (key: {minimum, maximum, allowed}) win over ours, those below ``methods.<method>`` over all. A default for
            all methods that only others allow leaves this method's own, and so do allowed values.

    Raises:
        ConfigurationError: The operator names a key that no method knows, a range that holds nothing, or a default outside
            the range.
    """
    limits = {
        key: {
            **entry,
            "nullable": entry["default"] is None,
            "whole": isinstance(entry.get("minimum"), int) and key != "lora_alpha",
        }
        for name in DEFAULTS_OF[tuning_method]
        for key, entry in shipped(name).items()
    }
    known_anywhere = {key for name in _FILES for key in shipped(name)}
    operator = operator or {}
    for section in (operator, (operator.get("methods") or {}).get(tuning_method) or {}):
        for key, change in [
            *(
                (key, {"default": value, "source": "operator"})
                for key, value in (section.get("defaults") or {}).items()
            ),
            *(section.get("limits") or {}).items(),
        ]:
            key = ALIASES.get(key, key)
            if key in limits:
                if "allowed" in change and (allowed := limits[key].get("allowed")):
                    change = {**change, "allowed": [each for each in allowed if each in change["allowed"]] or allowed}
                if section is not operator or not _is_for_others(key, change, limits[key]):
                    limits[key].update(change)
            elif key not in known_anywhere:
                listed = " All are listed in docs/configuration.md."
                raise ConfigurationError(
                    f"AFINADOR_CONFIG names an unknown key {key!r}.{nearest(key, known_anywhere) or listed}", param=key
                )
    _require_ranges(limits, tuning_method)
    for key, value in _checked_defaults(limits).items():
        if "source" in limits[key]:
            limits[key]["default"] = value
    return limits


def _require_ranges(limits: dict[str, dict[str, Any]], tuning_method: str) -> None:
    """Refuse a minimum above its maximum, of which either may be the operator's."""
    for key, entry in limits.items():
        if "minimum" in entry and entry["minimum"] > entry["maximum"]:
            raise ConfigurationError(
                f"AFINADOR_CONFIG: for the method {tuning_method!r} the minimum of {key} is {entry['minimum']} and its "
                f"maximum {entry['maximum']}, and nothing is between them. Lower the minimum, or give a greater maximum.",
                param=key,
            )


def _is_for_others(key: str, change: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Say whether a default for all methods is one that this method does not allow and another does."""
    value, lists = change.get("default"), [shipped(name).get(key, {}).get("allowed", []) for name in _FILES]
    return "allowed" in entry and value not in entry["allowed"] and any(value in allowed for allowed in lists)


def _checked_defaults(limits: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the defaults in their types, held against the limits, of which either may be the operator's."""
    try:
        values = {key: checked_value(key, entry["default"], entry) for key, entry in limits.items()}
        check_together(typed(values))
    except OutOfRangeError as error:
        key = (error.param or "").rpartition(".")[2]
        remedy = "" if "source" in limits[key] else f" Give a default within these limits, too: defaults.{key}."
        raise ConfigurationError(f"AFINADOR_CONFIG: among the defaults, {error.message}{remedy}", param=key) from error
    except InvalidRequestError as error:
        raise ConfigurationError(f"AFINADOR_CONFIG: among the defaults, {error.message}", param=error.param) from error
    return values
