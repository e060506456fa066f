"""The hyperparameters as people read them: names, defaults, ranges and meanings from ``defaults/*.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from afinador.config.hyperparameters import ALIASES, DEFAULTS_OF, METHODS_TODAY
from afinador.config.limits import limits_of


@dataclass(frozen=True)
class Described:
    """One hyperparameter.

    Attributes:
        key: Its name.
        methods: The tuning methods that know it; empty for those that all know.
        default: What holds if nobody says otherwise.
        values: What is allowed, in words; empty if anything of the right type is.
        meaning: One sentence.
        others: Further names of it.
    """

    key: str
    methods: tuple[str, ...]
    default: Any
    values: str
    meaning: str
    others: tuple[str, ...]


def described() -> list[Described]:
    """Return all hyperparameters, the common ones first, each method's in the order of its files."""
    limits = {method: limits_of(method) for method in METHODS_TODAY}
    found: dict[str, Described] = {}
    for method, names in DEFAULTS_OF.items():
        for key, meaning in (pair for name in names for pair in _meanings(name).items()):
            methods = tuple(method for method in METHODS_TODAY if key in limits[method])
            entry = limits[method][key]
            found.setdefault(
                key,
                Described(
                    key,
                    () if methods == METHODS_TODAY else methods,
                    entry["default"],
                    _values(entry),
                    meaning,
                    tuple(other for other, name in ALIASES.items() if name == key),
                ),
            )
    return sorted(found.values(), key=lambda each: each.methods)


def _values(entry: dict[str, Any]) -> str:
    if "allowed" in entry:
        return ", ".join(map(str, entry["allowed"]))
    return f"{entry['minimum']} to {entry['maximum']}" if "minimum" in entry else ""


def _meanings(name: str) -> dict[str, str]:
    """Return the comment above each key of a file of defaults."""
    source = files("afinador.config").joinpath("defaults", f"{name}.yaml").read_text(encoding="utf-8")
    meanings: dict[str, str] = {}
    comment: list[str] = []
    for line in source.splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        else:
            key, colon, _ = line.partition(":")
            if colon:
                meanings[key.strip()] = " ".join(comment)
            comment = []
    return meanings
