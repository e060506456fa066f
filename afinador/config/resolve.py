"""From a request to checked values: which fields there are, which method, task and hyperparameters are meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from afinador.config.hyperparameters import METHODS_TODAY, Hyperparameters, resolve_hyperparameters
from afinador.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelTooLargeError,
    OutOfRangeError,
    UnknownFieldError,
    UnsupportedModelError,
    nearest,
)
from afinador.schemas.jobs import JobRequest, Task, TuningMethod

MAX_PARAMETERS = 15_000_000_000
"""Models with more parameters are refused (specification, 1.4)."""

CAUSAL_ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "GemmaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GPT2LMHeadModel",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
"""Architectures that this version trains; further ones come with their own tests."""

CLASSIFICATION_ARCHITECTURES = (
    "BertModel",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForSequenceClassification",
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "RobertaModel",
    "RobertaForMaskedLM",
    "RobertaForSequenceClassification",
    "LlamaForSequenceClassification",
    "MistralForSequenceClassification",
    "GemmaForSequenceClassification",
    "Gemma2ForSequenceClassification",
    "Gemma3TextForSequenceClassification",
    "GPT2ForSequenceClassification",
    "Qwen2ForSequenceClassification",
    "Qwen3ForSequenceClassification",
)
"""Architectures that are trained to classify and for nothing else; all of ``CAUSAL_ARCHITECTURES`` may be, too."""

LATER_FIELDS = frozenset({"processes", "priority", "from_checkpoint", "merge"})
"""Fields of a request that have a meaning in Afinador, but not in this version."""
_PAIRS = {"model": "base_model", "training_file": "dataset", "validation_file": "validation_dataset"}


def read_document(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that must hold an object.

    Raises:
        InvalidRequestError: It cannot be read, is neither, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"Cannot read {path}: {error}") from error
    try:
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise InvalidRequestError(f"{path} is neither good YAML nor JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequestError(f"{path} must hold an object (key: value); it holds {type(document).__name__}.")
    return document


def read_operator_config(path: Path | None) -> dict[str, Any]:
    """Read the operator's file: ``defaults``, ``limits``, ``methods``, ``model_aliases``; empty without one.

    Raises:
        ConfigurationError: It cannot be read or holds an unknown section.
    """
    if path is None:
        return {}
    try:
        document = read_document(path)
    except InvalidRequestError as error:
        raise ConfigurationError(f"AFINADOR_CONFIG: {error.message}") from error
    known = ("defaults", "limits", "methods", "model_aliases")
    for key in document:
        if key not in known:
            raise ConfigurationError(f"AFINADOR_CONFIG has an unknown section {key!r}.{nearest(key, known)}")
    return document


def parse_request(body: dict[str, Any]) -> JobRequest:
    """Build a request, refusing what nobody knows.

    Raises:
        UnknownFieldError: A field that does not exist; names the nearest.
        InvalidRequestError: A field is missing, given under both of its names, or has a wrong value.
    """
    known = [*JobRequest.model_fields, *_PAIRS.values()]
    for key in body:
        if key in LATER_FIELDS:
            raise UnknownFieldError(f"{key!r} is not offered by this version; leave it out.", param=key)
        if key not in known:
            raise UnknownFieldError(f"{key!r} is no field of a fine-tuning job.{nearest(key, known)}", param=key)
    for ours, theirs in _PAIRS.items():
        if body.get(ours) is not None and body.get(theirs) is not None and body[ours] != body[theirs]:
            raise InvalidRequestError(f"{ours!r} and {theirs!r} mean the same field; give one of them.", param=theirs)
    given = {key: value for key, value in body.items() if value is not None}
    try:
        return JobRequest.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "body"
        if first["type"] == "missing":
            other = _PAIRS.get(field)
            raise InvalidRequestError(
                f"The field {field!r}{f' (or {other!r})' if other else ''} is required.", param=field
            ) from error
        raise InvalidRequestError(f"{field} is {first['input']!r}: {_in_words(first)}.", param=field) from error


def _in_words(error: Any) -> str:
    """Say what pydantic found in words for whoever wrote the request."""
    if error["type"] == "string_pattern_mismatch":
        return "it may hold letters, digits, '.', '_' and '-', at most 96 of them (128 for a job's name)"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be")


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
                f"method.type is {kind!r}; only 'supervised' is offered. Preference and reinforcement tuning are not.",
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
        raise OutOfRangeError(
            f"tuning_method is {tuning_method!r}; this version trains: {', '.join(METHODS_TODAY)}.",
            param="tuning_method",
        )
    return cast(TuningMethod, tuning_method), request.hyperparameters or nested


def resolve_request(
    request: JobRequest, operator: dict[str, Any] | None = None
) -> tuple[TuningMethod, Hyperparameters, dict[str, str]]:
    """Resolve method and hyperparameters: defaults < operator < ``config`` < request.

    Raises:
        InvalidRequestError: See ``resolve_method`` and ``resolve_hyperparameters``.
    """
    tuning_method, given = resolve_method(request)
    from_file = {key: value for key, value in (request.config or {}).items() if key not in ("tuning_method", "task")}
    hyperparameters, sources = resolve_hyperparameters(
        tuning_method, [("file", from_file), ("request", given)], operator
    )
    return tuning_method, hyperparameters, sources


def resolve_task(request: JobRequest, architecture: str) -> Task:
    """Find the task: what was asked for, else from the base model's architecture, never from the labels.

    Raises:
        UnsupportedModelError: The architecture, or the task asked for, is not one that this version trains.
    """
    allowed = tasks_of(architecture)
    task = request.task or (request.config or {}).get("task") or allowed[0]
    if task not in allowed:
        raise UnsupportedModelError(
            f"task is {task!r}; {architecture} is trained for {' or '.join(map(repr, allowed))}."
            + (_CAUSAL_REMEDY if task == "causal_lm" else ""),
            param="task",
        )
    return cast(Task, task)


_CAUSAL_REMEDY = f" For 'causal_lm' take a base model of one of: {', '.join(CAUSAL_ARCHITECTURES)}."


def tasks_of(architecture: str) -> tuple[Task, ...]:
    """Return the tasks that an architecture is trained for, the one meant by default first.

    Raises:
        UnsupportedModelError: There are none.
    """
    if architecture in CAUSAL_ARCHITECTURES:
        return ("causal_lm", "sequence_classification")
    if architecture in CLASSIFICATION_ARCHITECTURES:
        return ("sequence_classification",)
    raise UnsupportedModelError(
        f"The base model is a {architecture!r}; this version trains: {', '.join(CAUSAL_ARCHITECTURES)}; and to classify "
        f"texts, beside those: {', '.join(CLASSIFICATION_ARCHITECTURES)}.",
        param="model",
    )


def slug(name: str) -> str:
    """Return a name reduced to letters, digits, dots, dashes and underscores, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:64] or "model"


def check_parameter_count(name: str, parameters: int) -> None:
    """Refuse models that are too large.

    Raises:
        ModelTooLargeError: More than 15 billion parameters.
    """
    if parameters > MAX_PARAMETERS:
        raise ModelTooLargeError(
            f"{name} has {parameters / 1e9:.1f}B parameters; at most {MAX_PARAMETERS / 1e9:.0f}B are trained. "
            "Choose a smaller base model.",
            param="model",
        )
