"""The hyperparameters of a run: names and types here, defaults and ranges in ``defaults/*.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from afinador.config.promotion import Condition
from afinador.config.ranges import MULTIPLIER, apply_multiplier, checked_value
from afinador.config.unknown_keys import said_of_key
from afinador.errors import AfinadorError, ConfigurationError, InvalidRequestError, UnknownFieldError, nearest
from afinador.schemas.prompts import require_known_places
from afinador.wording import complaint

DEFAULTS_OF = {"full": ("base", "full"), "lora": ("base", "lora"), "qlora": ("base", "lora", "qlora")}
"""The files of defaults of each tuning method; what a later one says of a key holds."""

_FILES = sorted({name for names in DEFAULTS_OF.values() for name in names})

METHODS_TODAY = tuple(DEFAULTS_OF)
"""Tuning methods that can be trained by this version."""

ALIASES = {"n_epochs": "epochs", "lr": "learning_rate"}


class Hyperparameters(BaseModel):
    """All resolved numbers of one run; keys of other methods are None.

    Each is described, with its default and range, beside its name in ``defaults/*.yaml``.
    """

    model_config = ConfigDict(extra="forbid")

    epochs: int
    learning_rate: float
    batch_size: int
    micro_batch_size: int | None
    warmup_steps: int
    warmup_ratio: float
    weight_decay: float
    lr_scheduler: Literal["linear", "cosine", "constant"]
    max_grad_norm: float
    gradient_checkpointing: bool
    max_length: int
    packing: bool
    extraction: Literal["prompt", "schema"]
    prompts: dict[str, str] | None
    extraction_schema: dict[str, Any] | None
    precision: Literal["auto", "float32", "bfloat16"]
    optimizer: Literal["adamw", "adamw_8bit", "adafactor", "sgd"]
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"]
    engine: Literal["accelerate_loop", "hf_trainer"]
    deterministic: bool
    save_steps: int
    save_each_epoch: bool
    save_total_limit: int
    eval_steps: int | None
    logging_steps: int
    early_stopping_patience: int | None
    max_skipped_steps: int
    generation_max_new_tokens: int
    generation_examples: int
    group_by_length: bool
    logits_at_labels_only: bool
    max_attempts: int
    orphan_timeout_seconds: int
    promote_if: str | None
    output_dir: str | None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float | None = None
    lora_bias: Literal["none", "all", "lora_only"] | None = None
    target_modules: str | list[str] | None = None
    modules_to_save: list[str] | None = None
    quantization_bits: Literal[4, 8] | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_older_versions_meant_it(cls, values: Any) -> Any:
        """Fill in what a specification that an older version stored does not name yet."""
        return {key: entry["default"] for key, entry in _shipped("base").items()} | values


@cache
def _shipped(name: str) -> dict[str, dict[str, Any]]:
    text = files("afinador.config").joinpath("defaults", f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text) or {}


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
        for key, entry in _shipped(name).items()
    }
    known_anywhere = {key for name in _FILES for key in _shipped(name)}
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
    _check_defaults(limits)
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
    value, lists = change.get("default"), [_shipped(name).get(key, {}).get("allowed", []) for name in _FILES]
    return "allowed" in entry and value not in entry["allowed"] and any(value in allowed for allowed in lists)


def _check_defaults(limits: dict[str, dict[str, Any]]) -> None:
    """Hold the defaults against the limits, of which either may be the operator's."""
    try:
        _check_together(_typed({key: checked_value(key, entry["default"], entry) for key, entry in limits.items()}))
    except InvalidRequestError as error:
        raise ConfigurationError(f"AFINADOR_CONFIG: among the defaults, {error.message}", param=error.param) from error


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
        hyperparameters = _typed(values)
        _check_together(hyperparameters)
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
                methods = [name for name, names in DEFAULTS_OF.items() if any(key in _shipped(each) for each in names)]
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


def _check_together(values: Hyperparameters) -> None:
    """Refuse what is of the right type and means nothing, and what is good by itself and not together."""
    if values.target_modules is not None and not values.target_modules:
        said = f"target_modules is {values.target_modules!r}, which names no layer; leave it out for all linear layers."
        raise InvalidRequestError(said, param="hyperparameters.target_modules")
    if values.warmup_steps and values.warmup_ratio:
        raise InvalidRequestError("Give warmup_steps or warmup_ratio, not both.", param="hyperparameters.warmup_ratio")
    if values.packing and values.attention == "flash_attention_2":
        raise InvalidRequestError(
            "packing goes with the attention sdpa or eager, whose masks keep the examples of a row apart; "
            "attention is 'flash_attention_2'. Leave out one of the two.",
            param="hyperparameters.packing",
        )
    require_known_places(values.prompts, param="hyperparameters.prompts")
    if values.promote_if is not None:
        Condition.parse(values.promote_if)


def _typed(values: dict[str, Any]) -> Hyperparameters:
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as error:
        key, said = complaint(error)
        raise InvalidRequestError(said, param=f"hyperparameters.{key}") from error
