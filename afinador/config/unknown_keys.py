"""What is said of a key that is no hyperparameter, or no field of a job."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from afinador.config.counterparts import COUNTERPARTS
from afinador.errors import nearest
from afinador.schemas.jobs import OTHER_NAMES, JobRequest
from afinador.wording import shown

KEYS_OF_OTHERS = {
    "num_virtual_tokens": "the methods prefix_tuning and prompt_tuning",
    "max_target_length": "the task seq2seq_lm",
}
"""Keys that belong to methods and tasks which this version does not train."""

LATER_FIELDS = {"processes": "one job on several GPUs", "merge": "publishing a merged model instead of an adapter"}
"""Fields of a job that this version does not offer, and what each is for."""

FIELDS = (*JobRequest.model_fields, *OTHER_NAMES.values())
"""Of a job, under all of their names."""

LISTED_FIELDS = " All fields: docs/api.md; as options: afinador create fine-tune-job --help."
_LISTED = " All are listed in docs/configuration.md, and by: afinador create fine-tune-job --help."


def said_of_key(
    key: str, value: Any, known: Collection[str], tuning_method: str, its_methods: Collection[str], *, in_file: bool
) -> str:
    """Return the sentences on a key that is none of a method's hyperparameters: what it is instead, or what may be meant.

    Args:
        key: As it was given.
        value: As it was given.
        known: The method's hyperparameters, under all of their names.
        tuning_method: The method.
        its_methods: Those that have the key.
        in_file: Whether fields of the job might stand where it was given.
    """
    if key in KEYS_OF_OTHERS:
        return f"{key!r} belongs to {KEYS_OF_OTHERS[key]}, which this version does not train; leave it out."
    said = f"{shown(key)} is no hyperparameter of the method {tuning_method!r}."
    if key in LATER_FIELDS:
        return f"{said} It is not offered by this version; leave it out."
    if key in COUNTERPARTS:
        return f"{said} {COUNTERPARTS[key]}"
    if key in FIELDS:
        return f"{said} It is a field of the job: give it beside the hyperparameters, not among them."
    if its_methods:
        return f"{said} It belongs to {' and '.join(its_methods)}; leave it out, or set tuning_method."
    if isinstance(value, dict) and (flat := _flat_names(key, value, known)):
        return f"{said} Hyperparameters are not nested: instead of {key}.… give {', '.join(flat)} beside the others."
    near = nearest(key, [*known, *FIELDS] if in_file else known)
    if any(repr(field) in near for field in FIELDS):
        near += " Fields of the job are given beside the hyperparameters."
    return f"{said}{near or _LISTED}"


def _flat_names(key: str, nested: dict[Any, Any], known: Collection[str]) -> list[str]:
    """Return what the keys of an object may be called that stands where a hyperparameter should."""
    wanted = ((f"{key}_{each}", str(each)) for each in nested)
    return [name for names in wanted if (name := next((name for name in names if name in known), None))]
