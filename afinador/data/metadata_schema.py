"""The process that holds metadata against the JSON Schema that a record brings along; see ``schema_checks``.

Schemas come from strangers. A pattern of a few characters, or references that branch, keep a processor busy for years, and
Python's patterns cannot be stopped from within. So each answer has its time, after which the system ends this process.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.quoting import described, shortened
from afinador.data.schema_types import unknown_type

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MEMORY_BYTES = 1 << 30
NAMES_SHOWN = 8
_LONGEST_KEPT_BYTES = 1 << 16
# Each level of a schema takes a dozen calls; so many fit on the stack of a process.
_DEEPEST_CALLS = 8000

Complaint = tuple[Literal["schema_mismatch", "schema_dialect", "schema_too_costly", "schema_unchecked"], str]


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


def complaint(metadata: bytes, schema: bytes) -> Complaint | None:
    """Return what does not fit, by its path, or why the schema cannot be used; None if all is well.

    References within the schema are followed, others are not: nothing is fetched.

    Args:
        metadata: As JSON.
        schema: As JSON, of the draft that its ``$schema`` names, or of 2020-12.
    """
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    validator_of = _kept_validator if len(schema) <= _LONGEST_KEPT_BYTES else _validator
    try:
        found = best_match(validator_of(schema).iter_errors(json.loads(metadata)))
    except _UnusableError as error:
        return error.complaint
    except RecursionError:
        return _mismatch("its 'schema' refers to itself without end")
    except MemoryError:
        raise
    except Unresolvable as error:
        return _mismatch(
            f"its 'schema' refers to {shortened(error.ref, 120)}, which is not in it, and nothing is fetched"
        )
    except Exception as error:  # a pattern that is none
        return _mismatch(f"its 'schema' cannot be used: {type(error).__name__}: {shortened(str(error), 120)}")
    return None if found is None else _mismatch(_said(found))


def _mismatch(said: str) -> Complaint:
    return "schema_mismatch", f"{said}. Correct the metadata or the schema."


def _said(found: ValidationError) -> str:
    place = shortened(".".join(["metadata", *map(str, found.absolute_path)]))
    if found.validator == "required" and isinstance(found.validator_value, list):
        missing = [name for name in found.validator_value if name not in found.instance]
        more = f" and {len(missing) - NAMES_SHOWN} more" if len(missing) > NAMES_SHOWN else ""
        return f"{place} lacks {', '.join(map(shortened, missing[:NAMES_SHOWN]))}{more}, which its schema requires"
    if found.validator is None:
        return f"{place} is {described(found.instance)}, but its schema allows no value there"
    wanted = shortened(json.dumps(found.validator_value), 80)
    return f"{place} is {described(found.instance)}, but its schema says {found.validator}: {wanted}"


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
        raise _UnusableError(("schema_dialect", f"{said}; {remedy}"))
    try:
        known.check_schema(parsed)
    except SchemaError as error:
        why = unknown_type(parsed, "schema") or shortened(error.message, 120)
        said = f"its 'schema' is no JSON Schema of the draft {declared}: {why.rstrip('.')}"
        raise _UnusableError(_mismatch(said)) from error
    # The stock keyword forgets which property it was that a schema "false" forbids.
    extended = extend(known, {"properties": _properties}) if "properties" in known.VALIDATORS else known
    validator: Validator = extended(parsed, registry=Registry())
    return validator


_kept_validator = lru_cache(maxsize=64)(_validator)


def _properties(validator: Validator, properties: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import validator_for

    refused = [name for name, each in properties.items() if each is False]
    if refused and isinstance(instance, dict):
        for name in refused:
            if name in instance:
                yield ValidationError(
                    "not allowed", None, [name], validator_value=None, instance=instance[name], schema=False
                )
        properties = {name: each for name, each in properties.items() if each is not False}
    stock = validator_for({"$schema": validator.META_SCHEMA["$schema"]}).VALIDATORS["properties"]
    yield from stock(validator, properties, instance, schema) or ()


def main(descriptor: int) -> None:
    """Answer each list of questions, metadata and schema, for so many seconds, until the connection is closed.

    An answer is the list of complaints, and how many seconds of a processor it took.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.setrecursionlimit(_DEEPEST_CALLS)
    complaint(b"{}", b"{}")  # what is imported here is in nobody's time
    with Connection(descriptor) as connection, contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            seconds, questions = connection.recv()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            before = time.process_time()
            found = [complaint(metadata, schema) for metadata, schema in questions]
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send((found, time.process_time() - before))


if __name__ == "__main__":
    main(int(sys.argv[1]))
