"""The hyperparameters as options and as a table: names, defaults, ranges and meanings from ``config/defaults``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from afinador.config.hyperparameters import ALIASES, METHODS_TODAY, limits_of


@dataclass(frozen=True)
class Described:
    """One hyperparameter.

    Attributes:
        key: Its name.
        method: The tuning method that alone knows it, or None for those that all know.
        default: What holds if nobody says otherwise.
        values: What is allowed, in words; empty if anything of the right type is.
        meaning: One sentence.
        others: Further names of it.
    """

    key: str
    method: str | None
    default: Any
    values: str
    meaning: str
    others: tuple[str, ...]


def described() -> list[Described]:
    """Return all hyperparameters, the common ones first, each method's in the order of its file."""
    meanings = {method: _meanings(method) for method in ("base", *METHODS_TODAY)}
    found: dict[str, Described] = {}
    for method in METHODS_TODAY:
        for key, entry in limits_of(method).items():
            is_common = key in meanings["base"]
            found[key] = Described(
                key,
                None if is_common else method,
                entry["default"],
                _values(entry),
                meanings["base" if is_common else method][key],
                tuple(other for other, name in ALIASES.items() if name == key),
            )
    return sorted(found.values(), key=lambda each: each.method or "")


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
