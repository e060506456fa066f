"""The operator's file (``AFINADOR_CONFIG``): defaults and limits that win over ours, aliases of models, modules of loaders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.config.documents import read_document
from afinador.config.hyperparameters import ALIASES, METHODS_TODAY
from afinador.config.limits import limits_of
from afinador.config.ranges import read_number
from afinador.errors import ConfigurationError, InvalidRequestError, NotFoundError, nearest
from afinador.wording import kind_of, shown

_SECTIONS = ("defaults", "limits", "methods", "model_aliases", "loaders")
_SECTIONS_OF_A_METHOD = ("defaults", "limits")
_LIMITS = ("minimum", "maximum", "allowed")


def read_operator_config(path: Path | None) -> dict[str, Any]:
    """Read the operator's file: ``defaults``, ``limits``, ``methods``, ``model_aliases``, ``loaders``; empty without one.

    Raises:
        ConfigurationError: It cannot be read, or holds something that no job could be created with.
    """
    if path is None:
        return {}
    try:
        document = read_document(path)
    except (InvalidRequestError, NotFoundError) as error:
        raise ConfigurationError(f"AFINADOR_CONFIG: {error.message}") from error
    _check_section("", document, _SECTIONS)
    for method, section in document.get("methods", {}).items():
        if method not in METHODS_TODAY:
            near = nearest(str(method), METHODS_TODAY) or f" The methods are: {', '.join(METHODS_TODAY)}."
            raise _mistake(f"methods names {shown(method)}.{near}", method)
        _require_object(f"methods.{method}", section)
        _check_section(f"methods.{method}.", section, _SECTIONS_OF_A_METHOD)
    _check_keys("", document, METHODS_TODAY)
    for method, section in document.get("methods", {}).items():
        _check_keys(f"methods.{method}.", section, (method,))
    for method in METHODS_TODAY:
        limits_of(method, document)
    return document


def _check_section(place: str, section: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key, content in section.items():
        if key not in known:
            names = [place + name for name in known]
            near = nearest(place + str(key), names) or f" The sections are: {', '.join(names)}."
            raise _mistake(f"there is no section {shown(place + str(key))}.{near}", str(key))
        if key == "loaders":
            _check_loaders(content)
        else:
            _require_object(place + key, content)
    for key, limits in section.get("limits", {}).items():
        _check_limits(f"{place}limits.{key}", limits)
    for name, model in section.get("model_aliases", {}).items():
        if not isinstance(model, str):
            raise _mistake(f"model_aliases.{name} is {shown(model)}; it must be the name of a base model.", name)


def _check_loaders(modules: Any) -> None:
    for module in modules if isinstance(modules, list) else [None]:
        if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
            raise _mistake(
                f"loaders is {shown(modules)}; it must be an array of names of modules, such as acme.readers.",
                "loaders",
            )


def _check_limits(place: str, limits: Any) -> None:
    """Hold what limits one key against what may, and put its numbers in their types, in place."""
    _require_object(place, limits)
    for key, value in limits.items():
        if key not in _LIMITS:
            near = nearest(str(key), _LIMITS) or f" It may have: {', '.join(_LIMITS)}."
            raise _mistake(f"{place} has no {shown(key)}.{near}", place)
        if key == "allowed" and not (isinstance(value, list) and value):
            raise _mistake(f"{place}.allowed is {shown(value)}; it must be an array of values.", place)
        if key != "allowed":
            try:
                number = read_number(key, value)
            except InvalidRequestError:
                number = math.nan
            if math.isnan(number):
                raise _mistake(f"{place}.{key} is {shown(value)}; it must be a number.", place)
            if isinstance(value, str):
                limits[key] = int(number) if number.is_integer() else number


def _check_keys(place: str, section: Mapping[str, Any], methods: tuple[str, ...]) -> None:
    """Hold the keys of a section against the methods that it is for; one that nobody knows is refused later."""
    shipped = {method: limits_of(method) for method in METHODS_TODAY}
    for part in _SECTIONS_OF_A_METHOD:
        for name, content in section.get(part, {}).items():
            key = ALIASES.get(name, name)
            entries = {method: limits[key] for method, limits in shipped.items() if key in limits}
            fitting = [entry for method, entry in entries.items() if method in methods]
            if entries and not fitting:
                raise _mistake(
                    f"{place}{part} has {name!r}, which is no hyperparameter of this method but of {' and '.join(entries)}. "
                    f"Leave it out, or give it in {' or '.join(f'methods.{method}.{part}' for method in entries)}.",
                    name,
                )
            if fitting and part == "limits":
                _check_bounds(f"{place}limits.{name}", content, fitting)


def _check_bounds(place: str, limits: Mapping[str, Any], entries: list[dict[str, Any]]) -> None:
    """Hold the limits of a key against its kind.

    Args:
        place: Where they stand in the file.
        limits: What was given.
        entries: What is shipped for the key, of each method that they are for.
    """
    known = list(dict.fromkeys(value for entry in entries for value in entry.get("allowed", ())))
    takes = ("allowed",) if known else ("minimum", "maximum") if "minimum" in entries[0] else ()
    for key, value in limits.items():
        if key not in takes:
            said = f"it may have: {' and '.join(takes)}" if takes else "this hyperparameter has no limits; leave it out"
            listed = f" with some of {', '.join(map(str, known))}" if known else ""
            raise _mistake(f"{place} has {key!r}, which means nothing here; {said}{listed}.", place)
        if key == "allowed" and (unknown := [each for each in value if each not in known]):
            raise _mistake(
                f"{place}.allowed has {shown(unknown[0])}; it may have some of: {', '.join(map(str, known))}.", place
            )
        if key != "allowed" and entries[0]["whole"] and not isinstance(value, int):
            raise _mistake(f"{place}.{key} is {shown(value)}; it must be a whole number.", place)


def _require_object(place: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise _mistake(f"{place} is {kind_of(content)}; it must be an object (key: value).", place)


def _mistake(said: str, param: str) -> ConfigurationError:
    return ConfigurationError(f"AFINADOR_CONFIG: {said}", param=param)
