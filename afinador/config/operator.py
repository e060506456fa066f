"""The operator's file (``AFINADOR_CONFIG``): defaults and limits that win over ours, aliases of models, modules of loaders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.config.documents import read_document
from afinador.config.hyperparameters import METHODS_TODAY, limits_of
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
            raise _mistake(f"methods names {method!r}.{nearest(str(method), METHODS_TODAY)}", method)
        _require_object(f"methods.{method}", section)
        _check_section(f"methods.{method}.", section, _SECTIONS_OF_A_METHOD)
    for method in METHODS_TODAY:
        limits_of(method, document)
    return document


def _check_section(place: str, section: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key, content in section.items():
        if key not in known:
            near = nearest(place + str(key), [place + name for name in known])
            raise _mistake(f"there is no section {place + str(key)!r}.{near}", str(key))
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
    _require_object(place, limits)
    for key, value in limits.items():
        if key not in _LIMITS:
            raise _mistake(f"{place} has no {key!r}.{nearest(str(key), _LIMITS)}", place)
        if key == "allowed" and not (isinstance(value, list) and value):
            raise _mistake(f"{place}.allowed is {shown(value)}; it must be an array of values.", place)
        if key != "allowed" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _mistake(f"{place}.{key} is {shown(value)}; it must be a number.", place)


def _require_object(place: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise _mistake(f"{place} is {kind_of(content)}; it must be an object (key: value).", place)


def _mistake(said: str, param: str) -> ConfigurationError:
    return ConfigurationError(f"AFINADOR_CONFIG: {said}", param=param)
