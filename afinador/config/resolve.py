"""From a request to checked values: which fields there are, which method, task and hyperparameters are meant."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, cast, get_args

from pydantic import ValidationError

from afinador.config.architectures import CAUSAL_ARCHITECTURES, tasks_of
from afinador.config.counterparts import COUNTERPARTS
from afinador.config.fitting import fit_to_validation
from afinador.config.hyperparameters import ALIASES, METHODS_TODAY, Hyperparameters
from afinador.config.layers import naming_place, resolve_hyperparameters
from afinador.config.ranges import MULTIPLIER
from afinador.config.unknown_keys import FIELDS, KEYS_OF_OTHERS, LATER_FIELDS, LISTED_FIELDS
from afinador.errors import (
    InvalidRequestError,
    OutOfRangeError,
    UnknownFieldError,
    nearest,
)
from afinador.schemas.datasets import read_otherwise, require_part
from afinador.schemas.jobs import NEEDED, OTHER_NAMES, JobRequest, Task, TuningMethod
from afinador.wording import complaint, shown

_FIELDS_IN_CONFIG = ("tuning_method", "task", "seed")


def parse_request(body: dict[str, Any], *, is_whole: bool = True) -> JobRequest:
    """Build a request, refusing what nobody knows.

    Args:
        body: Its fields, under any of their names.
        is_whole: False of what is given beside the name of a saved request, which has the rest.

    Raises:
        UnknownFieldError: A field that does not exist; names the nearest.
        InvalidRequestError: A field is missing, given under both of its names, or has a wrong value.
    """
    for key in body:
        if key in LATER_FIELDS:
            raise UnknownFieldError(f"{key!r} is not offered by this version; leave it out.", param=key)
        if key not in FIELDS:
            raise UnknownFieldError(f"{shown(key)} is no field of a fine-tuning job.{_meant(key)}", param=key)
    for ours, theirs in OTHER_NAMES.items():
        if body.get(ours) is not None and body.get(theirs) is not None and body[ours] != body[theirs]:
            raise InvalidRequestError(f"{ours!r} and {theirs!r} mean the same field; give one of them.", param=theirs)
    given = {key: value for key, value in body.items() if value is not None}
    if isinstance(given.get("config"), dict):
        given["config"] = _without_nesting(given["config"])
    given = _with_fields_from_config(given)
    if is_whole:
        _require_needed(given)
        given = _with_part_held_out(given)
    try:
        return JobRequest.model_validate(given)
    except ValidationError as error:
        field, said = complaint(error)
        if field == "tuning_method":
            raise _not_trained(given[field]) from error
        raise InvalidRequestError(said, param=field) from error


def _not_trained(tuning_method: object) -> OutOfRangeError:
    later = [method for method in get_args(TuningMethod) if method not in METHODS_TODAY]
    said = (
        f"tuning_method is {shown(tuning_method)}; this version trains: {', '.join(METHODS_TODAY)}. "
        f"{' and '.join(later)} come later."
    )
    return OutOfRangeError(said, param="tuning_method")


def _meant(key: str) -> str:
    """Say, with a leading space, where a key belongs, or what may have been meant."""
    settings = [*Hyperparameters.model_fields, *ALIASES, MULTIPLIER, *KEYS_OF_OTHERS]
    place = "give it inside 'hyperparameters', or in 'config'"
    if key in settings:
        return f" It is a hyperparameter: {place}."
    if key in COUNTERPARTS:
        is_setting = not Hyperparameters.model_fields.keys().isdisjoint(re.findall(r"\w+", COUNTERPARTS[key]))
        where = " Hyperparameters are given inside 'hyperparameters', or in 'config'." if is_setting else ""
        return f" {COUNTERPARTS[key]}{where}"
    near = nearest(key, [*FIELDS, *settings]) or LISTED_FIELDS
    return f"{near} If that is a hyperparameter, {place}." if any(repr(name) in near for name in settings) else near


def _require_needed(given: dict[str, Any]) -> None:
    """Refuse a request that says too little: only the job of a checkpoint has what a request may leave out."""
    if "job_spec" in given:
        raise InvalidRequestError(
            "job_spec names a saved request, and only a job of the service is made of one; give the fields themselves here.",
            param="job_spec",
        )
    if "from_checkpoint" in given:
        return
    if "from_checkpoint_state" in given:
        raise InvalidRequestError(
            "from_checkpoint_state says how to start from a checkpoint; give from_checkpoint, or leave it out.",
            param="from_checkpoint_state",
        )
    for field in NEEDED:
        if field not in given and OTHER_NAMES[field] not in given:
            raise InvalidRequestError(f"The field {field!r} (or {OTHER_NAMES[field]!r}) is required.", param=field)


def _with_part_held_out(given: dict[str, Any]) -> dict[str, Any]:
    """Hold a part of the training file out, where that is asked for."""
    declared = given.get("validation_reading")
    if declared is None:
        return given
    read_otherwise(None, declared)
    if "validation_file" in given or "validation_dataset" in given:
        return given
    training_file = given.get("training_file") or given.get("dataset")
    if training_file is not None:
        require_part(declared)
        return {**given, "validation_file": training_file}
    raise InvalidRequestError(
        "validation_reading says how the validation data set is read, and which one that is only the checkpoint says. "
        "Give validation_file (or validation_dataset) too, or leave both out.",
        param="validation_reading",
    )


def _without_nesting(config: dict[str, Any]) -> dict[str, Any]:
    """Let hyperparameters stand in ``config`` under that name too, as they do in a file with a whole request."""
    settings = dict(config)
    nested = settings.pop("hyperparameters", None)
    if nested is None:
        return settings
    if not isinstance(nested, dict):
        said = f"config.hyperparameters is {shown(nested)}; it must be an object (key: value)."
        raise InvalidRequestError(said, param="config.hyperparameters")
    if twice := sorted(settings.keys() & nested.keys()):
        raise InvalidRequestError(
            f"config gives {twice[0]!r} twice, the second time below 'hyperparameters'; keep one of them.",
            param=f"config.hyperparameters.{twice[0]}",
        )
    return settings | nested


def _with_fields_from_config(body: dict[str, Any]) -> dict[str, Any]:
    """Let fields of a job that are settings too stand in ``config``, and the seed among the hyperparameters."""
    fields = dict(body)
    inner = body.get("hyperparameters")
    if (
        isinstance(inner, dict)
        and None not in (seeds := (body.get("seed"), inner.get("seed")))
        and seeds[0] != seeds[1]
    ):
        said = f"seed is {shown(seeds[0])}, and {shown(seeds[1])} among the hyperparameters; give one of them."
        raise InvalidRequestError(said, param="hyperparameters.seed")
    for place, names in (("hyperparameters", ("seed",)), ("config", _FIELDS_IN_CONFIG)):
        if isinstance(settings := body.get(place), dict):
            found = {name: settings[name] for name in names if settings.get(name) is not None}
            fields = found | fields
            if place == "hyperparameters":
                fields[place] = {name: value for name, value in settings.items() if name not in names}
    return fields


def resolve_method(request: JobRequest) -> tuple[TuningMethod, dict[str, Any]]:
    """Find the tuning method and the request's own hyperparameters.

    OpenAI's ``method`` (``{"type": "supervised", "supervised": {"hyperparameters": …}}``) and its older top-level
    ``hyperparameters`` are both read.

    Raises:
        InvalidRequestError: Another ``method.type`` than ``supervised``, or hyperparameters in both places.
        OutOfRangeError: A tuning method that this version does not train.
    """
    nested = _nested_in_method(request.method) if request.method is not None else {}
    if nested and request.hyperparameters:
        raise InvalidRequestError(
            "Give hyperparameters either in 'hyperparameters' or in 'method', not in both.", param="method"
        )
    tuning_method = request.tuning_method or (request.config or {}).get("tuning_method") or "lora"
    if tuning_method not in METHODS_TODAY:
        raise _not_trained(tuning_method)
    return cast(TuningMethod, tuning_method), request.hyperparameters or nested


def _nested_in_method(method: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of OpenAI's ``method``, refusing whatever else stands in it."""
    kind = method.get("type", "supervised")
    if kind != "supervised":
        raise InvalidRequestError(
            f"method.type is {shown(kind)}; only 'supervised' is offered. Preference and reinforcement tuning are not.",
            param="method.type",
        )
    supervised = _part(method, "method", ("type", "supervised"), "supervised")
    return _part(supervised, "method.supervised", ("hyperparameters",), "hyperparameters")


def _part(outer: dict[str, Any], place: str, known: tuple[str, ...], wanted: str) -> dict[str, Any]:
    form = 'method must be {"type": "supervised", "supervised": {"hyperparameters": {…}}}.'
    for key, value in outer.items():
        if key not in known and value is not None:
            raise UnknownFieldError(f"{shown(key)} is no field of {place}; {form}", param=f"{place}.{key}")
    inner = outer.get(wanted)
    if inner is not None and not isinstance(inner, dict):
        raise InvalidRequestError(form, param=f"{place}.{wanted}")
    return inner or {}


def resolve_request(
    request: JobRequest, operator: dict[str, Any] | None = None
) -> tuple[TuningMethod, Hyperparameters, dict[str, str]]:
    """Resolve method and hyperparameters: defaults < operator < ``config`` < request.

    Raises:
        InvalidRequestError: See ``resolve_method`` and ``resolve_hyperparameters``; or what is asked for needs a
            validation file.
    """
    tuning_method, given = resolve_method(request)
    hyperparameters, sources = resolve_hyperparameters(
        tuning_method, [("file", _config_of(request)), ("request", given)], operator
    )
    with naming_place(sources):
        fit_to_validation(request.validation_file is not None, hyperparameters, sources)
    sources |= {field: _source_of(request, field) for field in ("seed", "tuning_method")}
    return tuning_method, hyperparameters, sources


def asked_for(request: JobRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the hyperparameters that a request names itself, and where, unchecked: of one that cannot be resolved."""
    config = _config_of(request)
    try:
        _, given = resolve_method(request)
    except InvalidRequestError:
        given = request.hyperparameters or {}
    config, given = ({key: value for key, value in each.items() if value is not None} for each in (config, given))
    sources = {**dict.fromkeys(config, "file"), **dict.fromkeys(given, "request")}
    if request.seed is not None:
        sources["seed"] = _source_of(request, "seed")
    return {**config, **given}, sources


def _config_of(request: JobRequest) -> dict[str, Any]:
    return {key: value for key, value in (request.config or {}).items() if key not in _FIELDS_IN_CONFIG}


def _source_of(request: JobRequest, field: str) -> str:
    """Say where a field of the job comes from that may stand in ``config``, too."""
    given = getattr(request, field)
    if given is None:
        return "default"
    return "file" if (request.config or {}).get(field) == given else "request"


def resolve_task(request: JobRequest, architecture: str) -> Task:
    """Find the task: what was asked for, else from the base model's architecture, never from the labels.

    Raises:
        UnsupportedModelError: The architecture is not one that this version trains.
        OutOfRangeError: The task asked for is not one that the architecture is trained for.
    """
    allowed = tasks_of(architecture)
    task = request.task or allowed[0]
    if task not in allowed:
        raise OutOfRangeError(
            f"task is {task!r}; {architecture} is trained for {' or '.join(map(repr, allowed))}."
            + (_CAUSAL_REMEDY if task == "causal_lm" else ""),
            param="task",
        )
    return cast(Task, task)


_CAUSAL_REMEDY = f" For 'causal_lm' take a base model of one of: {', '.join(CAUSAL_ARCHITECTURES)}."


def slug(name: str) -> str:
    """Return a name reduced to letters, digits, dots, dashes and underscores, at most 64 characters.

    A letter with an accent becomes the letter.
    """
    letters = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("-.")[:64] or "model"
