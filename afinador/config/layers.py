"""From layers of values, each stronger than the one before, to the hyperparameters of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from afinador.config.hyperparameters import (
    ALIASES,
    DEFAULTS_OF,
    Hyperparameters,
    check_together,
    let_the_stronger_stand,
    shipped,
    typed,
)
from afinador.config.limits import limits_of
from afinador.config.ranges import MULTIPLIER, apply_multiplier, checked_value
from afinador.config.unknown_keys import said_of_key
from afinador.errors import AfinadorError, InvalidRequestError, UnknownFieldError


def resolve_hyperparameters(
    tuning_method: str, layers: list[tuple[str, dict[str, Any]]], operator: dict[str, Any] | None = None
) -> tuple[Hyperparameters, dict[str, str]]:
    """Merge and check the hyperparameters of a job.

    Args:
        tuning_method: One of ``METHODS_TODAY``.
        layers: ``(source, values)``, weakest first, for example ``[("file", …), ("request", …)]``. ``"auto"`` means
            the default; so does null, where it is no value of its own. ``learning_rate_multiplier`` times the method's default gives the learning rate.
        operator: The operator's configuration.

    Returns:
        The hyperparameters, and for each key where its value came from: ``default``, ``operator`` or a layer's name.

    Raises:
        UnknownFieldError: A key that the method does not know; names the nearest.
        OutOfRangeError: A value outside its range. Of several faults in a layer all are told, and the first is raised.
        InvalidRequestError: A value of the wrong type, or two keys that exclude each other.
    """
    limits = limits_of(tuning_method, operator)
    values = {key: entry["default"] for key, entry in limits.items()}
    sources = {key: entry.get("source", "default") for key, entry in limits.items()}
    for source, layer in layers:
        with naming_place(source):
            _take_layer(source, layer, limits, values, sources, tuning_method)
    with naming_place(sources):
        hyperparameters = typed(values)
        let_the_stronger_stand(hyperparameters, sources, ["default", "operator", *(name for name, _ in layers)])
        check_together(hyperparameters)
    return hyperparameters, sources


@contextmanager
def naming_place(source: str | Mapping[str, str]) -> Iterator[None]:
    """Let an error on a hyperparameter that was given in ``config`` name it there.

    Args:
        source: Where the hyperparameter comes from, or where each of them does, as ``resolve_hyperparameters`` tells it.
    """
    try:
        yield
    except AfinadorError as error:
        place, _, key = (error.param or "").partition(".")
        found = source if isinstance(source, str) else source.get(key.partition(".")[0])
        if place == "hyperparameters" and found == "file":
            error.param = f"config.{key}"
        raise


def _take_layer(
    source: str,
    layer: dict[str, Any],
    limits: dict[str, dict[str, Any]],
    values: dict[str, Any],
    sources: dict[str, str],
    tuning_method: str,
) -> None:
    """Put the values of a layer over those of the weaker ones, in place."""
    given = _without_aliases({key: value for key, value in layer.items() if _is_given(key, value, limits)})
    as_written = {ALIASES.get(name, name): name for name in layer}
    if MULTIPLIER in given:
        apply_multiplier(given, limits)
    faults: list[InvalidRequestError] = []
    for key, value in given.items():
        try:
            if key not in limits:
                methods = [name for name, names in DEFAULTS_OF.items() if any(key in shipped(each) for each in names)]
                known = [*limits, *ALIASES, MULTIPLIER]
                said = said_of_key(key, value, known, tuning_method, methods, in_file=source == "file")
                raise UnknownFieldError(said, param=f"hyperparameters.{key}")
            if value == "auto" and "auto" not in limits[key].get("allowed", ()):
                values[key], sources[key] = limits[key]["default"], limits[key].get("source", "default")
                continue
            values[key] = checked_value(as_written.get(key, key), value, limits[key])
            sources[key] = source
        except InvalidRequestError as error:
            faults.append(error)
    if faults:
        first = faults[0]
        raise type(first)(" ".join(each.message for each in faults), param=first.param, code=first.code)


def _is_given(name: str, value: Any, limits: dict[str, dict[str, Any]]) -> bool:
    """Tell whether a value is one; a resolved set says by null that a key belongs to another method."""
    key = ALIASES.get(name, name)
    return value is not None or key not in Hyperparameters.model_fields or limits.get(key, {}).get("nullable", False)


def _without_aliases(layer: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in layer.items():
        key = ALIASES.get(name, name)
        if key in given:
            raise InvalidRequestError(
                f"{' and '.join(other for other in layer if ALIASES.get(other, other) == key)} mean the same; "
                "give one of them.",
                param=f"hyperparameters.{key}",
            )
        given[key] = value
    return given
