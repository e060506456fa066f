"""The process that holds metadata against the JSON Schema that a record brings along; see ``schema_checks``.

Schemas come from strangers. A pattern of a few characters, or references that branch, keep a processor busy for years, and
Python's patterns cannot be stopped from within. So each answer has its time, after which the system ends this process.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.quoting import cut, described, shortened
from afinador.data.schema_types import unknown_types

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MEMORY_BYTES = 1 << 30
MOST_COMPLAINTS = 10
"""Of the metadata of one record."""
LONGEST_NAME = 60
_REMEDY = "Correct the metadata or the schema."
_LONGEST_KEPT_BYTES = 1 << 16
# Each level of a schema takes a dozen calls; so many fit on the stack of a process.
_DEEPEST_CALLS = 8000

Complaint = tuple[Literal["schema_mismatch", "schema_dialect", "schema_too_costly", "schema_unchecked"], str, str]
"""The code of what is wrong with metadata or with their schema, what a person is told of it, and the field to blame."""


class _UnusableError(Exception):
    """A schema that metadata cannot be held against.

    Attributes:
        complaint: What is wrong with it.
    """

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint)
        self.complaint = complaint


def is_json_schema(schema: Mapping[str, Any]) -> bool:
    """Tell a JSON Schema from a template with the fields that are wanted, empty, in the manner of NuExtract."""
    return "$schema" in schema or (schema.get("type") == "object" and isinstance(schema.get("properties"), dict))


def complaints(metadata: bytes, schema: bytes) -> list[Complaint]:
    """Return what does not fit, each by its path and the first ``MOST_COMPLAINTS`` of all, or why the schema cannot be used.

    References within the schema are followed, others are not: nothing is fetched.

    Args:
        metadata: As JSON.
        schema: As JSON, of the draft that its ``$schema`` names, or of 2020-12.
    """
    from referencing.exceptions import Unresolvable

    validator_of = _kept_validator if len(schema) <= _LONGEST_KEPT_BYTES else _validator
    try:
        return _mismatches(validator_of(schema).iter_errors(json.loads(metadata)))
    except _UnusableError as error:
        return [error.complaint]
    except RecursionError:
        return [_unusable("its 'schema' refers to itself without end")]
    except MemoryError:
        raise
    except Unresolvable as error:
        said = f"its 'schema' refers to {shortened(error.ref, 120)}, which is not in it, and nothing is fetched"
        return [_unusable(said)]
    except Exception as error:  # a pattern that is none
        said = f"its 'schema' cannot be used: {type(error).__name__}: {shortened(str(error), 120)}"
        return [_unusable(said)]


def _unusable(said: str) -> Complaint:
    return "schema_mismatch", f"{said}{'' if said.endswith('?') else '.'} {_REMEDY}", "schema"


def _mismatches(errors: Iterable[ValidationError]) -> list[Complaint]:
    from jsonschema.exceptions import best_match

    found: dict[Complaint, None] = {}
    listed: set[tuple[int, str]] = set()
    for each in errors:
        error = best_match([each])  # of alternatives that all fail, what is wrong with the likeliest
        if error.validator == "required":  # there is one for each name that is missing, and all are told with the first
            if (which := (id(error.instance), str(error.absolute_schema_path))) in listed:
                continue
            listed.add(which)
        found.update(dict.fromkeys(_told_of(error)))
        if len(found) >= MOST_COMPLAINTS:
            break
    return list(found)[:MOST_COMPLAINTS]


def _told_of(error: ValidationError) -> Iterator[Complaint]:
    path = ["metadata", *map(str, error.absolute_path)]
    place = shortened(_place_of(path))
    if error.validator == "required" and isinstance(error.validator_value, list):
        missing = (name for name in error.validator_value if name not in error.instance)
        for name in islice(missing, MOST_COMPLAINTS):
            yield _mismatch(f"{place} lacks {shortened(name)}, which its schema requires", [*path, name])
    elif error.validator is None:
        yield _mismatch(f"{place} is {described(error.instance)}, but its schema allows no value there", path)
    elif error.validator == "additionalProperties" and error.validator_value is False:
        said = f"{place} is {described(error.instance)}, but its schema has no such field and says additionalProperties: false"
        yield _mismatch(said, path)
    else:
        wanted = cut(json.dumps(error.validator_value, ensure_ascii=False), 80)
        yield _mismatch(
            f"{place} is {described(error.instance)}, but its schema says {error.validator}: {wanted}", path
        )


def _mismatch(said: str, path: Sequence[str]) -> Complaint:
    return "schema_mismatch", f"{said}. {_REMEDY}", cut(_place_of(path))


def _place_of(path: Sequence[str]) -> str:
    return ".".join(cut(name, LONGEST_NAME) for name in path)


def _validator(schema: bytes) -> Validator:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, extend, validator_for
    from referencing import Registry

    parsed = json.loads(schema)
    declared = parsed.get("$schema", Draft202012Validator.META_SCHEMA["$id"])
    known = validator_for({"$schema": declared}, default=None) if isinstance(declared, str) else None
    if known is None:
        said = (
            f"its 'schema' declares $schema {shortened(declared)}, which is no draft of JSON Schema from 3 to 2020-12"
        )
        remedy = "its metadata are not held against it. Correct $schema, or leave it out."
        raise _UnusableError(("schema_dialect", f"{said}; {remedy}", "schema"))
    try:
        known.check_schema(parsed)
    except SchemaError as error:
        why = next(unknown_types(parsed, "schema"), None) or shortened(error.message, 120)
        said = f"its 'schema' is no JSON Schema of the draft {declared}: {why.rstrip('.')}"
        raise _UnusableError(_unusable(said)) from error
    # The stock keywords forget which property it was that a schema "false" forbids.
    own = {"properties": _properties, "additionalProperties": _additional_properties}
    extended = extend(known, {name: check for name, check in own.items() if name in known.VALIDATORS})
    validator: Validator = extended(parsed, registry=Registry())
    return validator


_kept_validator = lru_cache(maxsize=64)(_validator)


def _properties(validator: Validator, properties: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    refused = [name for name, each in properties.items() if each is False]
    if refused and isinstance(instance, dict):
        for name in refused:
            if name in instance:
                yield ValidationError(
                    "not allowed", None, [name], validator_value=None, instance=instance[name], schema=False
                )
        properties = {name: each for name, each in properties.items() if each is not False}
    yield from _stock("properties", validator, properties, instance, schema)


def _additional_properties(validator: Validator, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if allowed is not False or not isinstance(instance, dict):
        yield from _stock("additionalProperties", validator, allowed, instance, schema)
        return
    patterns = list(schema.get("patternProperties", ()))
    known = schema.get("properties", ())
    others = (name for name in instance if name not in known and not any(re.search(each, name) for each in patterns))
    for name in islice(others, MOST_COMPLAINTS):
        yield ValidationError(
            "not allowed", "additionalProperties", [name], validator_value=False, instance=instance[name], schema=schema
        )


def _stock(keyword: str, validator: Validator, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    from jsonschema.validators import validator_for

    check = validator_for({"$schema": validator.META_SCHEMA["$schema"]}).VALIDATORS[keyword]
    yield from check(validator, value, instance, schema) or ()


def main(descriptor: int) -> None:
    """Answer each list of questions, metadata and schema, for so many seconds, until the connection is closed.

    An answer is the complaints of each, and how many seconds of a processor it took.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.setrecursionlimit(_DEEPEST_CALLS)
    complaints(b"{}", b'{"required": [""]}')  # what is imported here is in nobody's time
    with Connection(descriptor) as connection, contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            seconds, questions = connection.recv()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            before = time.process_time()
            found = [complaints(metadata, schema) for metadata, schema in questions]
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send((found, time.process_time() - before))


if __name__ == "__main__":
    main(int(sys.argv[1]))
