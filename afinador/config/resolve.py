"""From a request to checked values: which fields there are, which method, task and hyperparameters are meant."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, cast, get_args

from pydantic import ValidationError

from afinador.config.architectures import CAUSAL_ARCHITECTURES, tasks_of
from afinador.config.counterparts import COUNTERPARTS
from afinador.config.hyperparameters import (
    ALIASES,
    METHODS_TODAY,
    Hyperparameters,
    naming_place,
    resolve_hyperparameters,
)
from afinador.config.promotion import METRICS, NOT_MEASURED, Condition
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


def parse_request(body: dict[str, Any]) -> JobRequest:
    """Build a request, refusing what nobody knows.

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
    nested = settings.pop("hyperparameters", None) or {}
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
    nested: dict[str, Any] = {}
    if request.method is not None:
        kind = request.method.get("type", "supervised")
        if kind != "supervised":
            raise InvalidRequestError(
                f"method.type is {shown(kind)}; only 'supervised' is offered. Preference and reinforcement tuning are not.",
                param="method.type",
            )
        supervised = request.method.get("supervised") or {}
        nested = supervised.get("hyperparameters") or {} if isinstance(supervised, dict) else supervised
        if not isinstance(nested, dict):
            raise InvalidRequestError(
                'method must be {"type": "supervised", "supervised": {"hyperparameters": {…}}}.', param="method"
            )
        if nested and request.hyperparameters:
            raise InvalidRequestError(
                "Give hyperparameters either in 'hyperparameters' or in 'method', not in both.", param="method"
            )
    tuning_method = request.tuning_method or (request.config or {}).get("tuning_method") or "lora"
    if tuning_method not in METHODS_TODAY:
        raise _not_trained(tuning_method)
    return cast(TuningMethod, tuning_method), request.hyperparameters or nested


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
    if request.validation_file is None:
        with naming_place(sources):
            _do_without_validation(hyperparameters, sources)
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


def _do_without_validation(hyperparameters: Hyperparameters, sources: dict[str, str]) -> None:
    """Refuse what looks at figures of a validation file; where it is only the operator's default, take it back."""
    for key in ("early_stopping_patience", "promote_if"):
        if getattr(hyperparameters, key) is None:
            continue
        if sources[key] in ("file", "request"):
            raise InvalidRequestError(
                f"{key} needs a validation file, for it looks at figures that are measured on one. "
                f"Give validation_file (or validation_dataset), or leave {key} out.",
                param=f"hyperparameters.{key}",
            )
        setattr(hyperparameters, key, None)
        sources[key] = "default"


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


def require_fitting_task(tuning_method: TuningMethod, task: Task, hyperparameters: Hyperparameters) -> None:
    """Refuse what this version does for causal language models alone, and a figure that the task does not have.

    Raises:
        InvalidRequestError: ``qlora`` or ``packing`` for another task, or ``promote_if`` with a figure that is never measured.
    """
    if hyperparameters.promote_if is not None:
        metric = Condition.parse(hyperparameters.promote_if).metric
        if metric in NOT_MEASURED.get(task, ()):
            measured = [name for name in METRICS if name not in NOT_MEASURED[task]]
            raise InvalidRequestError(
                f"promote_if names {metric!r}, which is not measured for the task {task!r}; there are: "
                f"{', '.join(measured)}.",
                param="hyperparameters.promote_if",
            )
    if task == "causal_lm":
        return
    if tuning_method == "qlora":
        raise InvalidRequestError(
            f"tuning_method is 'qlora', which needs task 'causal_lm'; the task is {task!r}. Use tuning_method 'lora'.",
            param="tuning_method",
        )
    if hyperparameters.packing:
        raise InvalidRequestError(
            f"packing puts examples of causal language models into one row; the task is {task!r}. Leave packing out.",
            param="hyperparameters.packing",
        )


def slug(name: str) -> str:
    """Return a name reduced to letters, digits, dots, dashes and underscores, at most 64 characters.

    A letter with an accent becomes the letter.
    """
    letters = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("-.")[:64] or "model"
