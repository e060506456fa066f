"""Metadata held against the JSON Schema that a record brings along (https://json-schema.org/draft/2020-12)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import regex

from afinador.data.quoting import described, shortened

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

PATTERN_TIMEOUT_SECONDS = 0.5
"""For one text: a pattern of a few characters can hold a processor for years."""


def is_json_schema(schema: Mapping[str, Any]) -> bool:
    """Tell a JSON Schema from a template with the fields that are wanted, empty, in the manner of NuExtract."""
    return "$schema" in schema or (schema.get("type") == "object" and isinstance(schema.get("properties"), dict))


def mismatch(metadata: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Return what does not fit, by its path, or why the schema cannot be used; None if all is well.

    References within the schema are followed, others are not: nothing is fetched.
    """
    from jsonschema.exceptions import SchemaError, best_match

    try:
        found = best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(metadata))
    except SchemaError as error:
        return f"its 'schema' is no JSON Schema: {shortened(error.message, 120)}"
    except TimeoutError:
        return f"a pattern of its 'schema' takes longer than {PATTERN_TIMEOUT_SECONDS} s on one text"
    except RecursionError:
        return "its 'schema' refers to itself without end"
    except Exception as error:  # a reference that leads nowhere, a pattern that is none
        return f"its 'schema' cannot be used: {type(error).__name__}: {shortened(str(error), 120)}"
    if found is None:
        return None
    place = ".".join(["metadata", *map(str, found.absolute_path)])
    if found.validator == "required":
        missing = [name for name in found.validator_value if name not in found.instance]
        return f"{shortened(place)} lacks {', '.join(map(shortened, missing))}, which its schema requires"
    wanted = shortened(json.dumps(found.validator_value), 80)
    return f"{shortened(place)} is {described(found.instance)}, but its schema says {found.validator}: {wanted}"


@lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    from jsonschema.validators import Draft202012Validator, extend
    from referencing import Registry

    parsed = json.loads(schema)
    Draft202012Validator.check_schema(parsed)
    with_limit = extend(Draft202012Validator, {"pattern": _pattern, "patternProperties": _no_patterns_of_names})
    validator: Validator = with_limit(parsed, registry=Registry())
    return validator


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not regex.search(pattern, instance, timeout=PATTERN_TIMEOUT_SECONDS):
        yield ValidationError("does not match")


def _no_patterns_of_names(validator: Validator, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    yield from ()
