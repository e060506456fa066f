"""A saved request, and what is given beside it for one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afinador.config.hyperparameters import ALIASES
from afinador.config.ranges import MULTIPLIER
from afinador.config.resolve import parse_request, resolve_method
from afinador.schemas.jobs import JobRequest

_RIVALS = ({"learning_rate", MULTIPLIER}, {"warmup_steps", "warmup_ratio"})
"""Those of which one is given."""


def with_changes(saved: JobRequest, given: JobRequest) -> JobRequest:
    """Return a saved request with what is given beside its name, which wins.

    Hyperparameters, the advanced configuration and metadata are joined key by key, wherever they stand; of other fields the
    given one replaces the saved one.

    Raises:
        InvalidRequestError: They do not fit together; see ``parse_request`` and ``resolve_method``.
    """
    changes = given.model_dump(exclude_unset=True, exclude_none=True, exclude={"job_spec"})
    if changes.keys() <= {"name"}:
        return saved.model_copy(update=changes)
    (_, had), (_, wanted) = resolve_method(saved), resolve_method(given)
    config = given.config or {}
    fields = saved.model_dump(exclude_none=True, exclude={"method"})
    if "training_file" in changes and saved.validation_file == saved.training_file:  # of which a part is held out
        fields.pop("validation_file", None)
    joined = {
        "hyperparameters": {**_less(had, {**config, **wanted}), **wanted},
        "config": {**_less(saved.config or {}, {**config, **wanted}), **config},
        "metadata": {**(saved.metadata or {}), **(given.metadata or {})},
    }
    changes.pop("method", None)
    return parse_request({**fields, **changes, **{field: values or None for field, values in joined.items()}})


def _less(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the weaker settings that the stronger ones leave standing."""
    given = {ALIASES.get(key, key) for key in stronger}
    gone = given.union(*(rivals for rivals in _RIVALS if given & rivals))
    return {key: value for key, value in weaker.items() if ALIASES.get(key, key) not in gone}
