"""JSON bodies: read with a limit, then checked against a schema with errors that name field, value and remedy."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from afinador.errors import InvalidRequestError, OutOfRangeError, RequestTooLargeError, UnknownFieldError, nearest
from afinador.wording import complaint, kind_of, unique_keys

MAX_BODY_BYTES = 4_000_000
LARGEST_INTEGER = 2**63 - 1

Schema = TypeVar("Schema", bound=BaseModel)


async def json_object(request: Request) -> dict[str, Any]:
    """Read the body of a request, which must be a JSON object; its content type does not matter.

    Raises:
        RequestTooLargeError: More than 4 MB.
        InvalidRequestError: It is no JSON, no object, gives a key twice, or holds text that is no Unicode or a number
            beyond 64 bits.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES // 1_000_000} MB.")
    try:
        document = json.loads(body, object_pairs_hook=unique_keys)
        _check_values(document)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The body is no JSON: {error}", code="invalid_json") from error
    if not isinstance(document, dict):
        raise InvalidRequestError(f"The body must be a JSON object; it is {kind_of(document)}.")
    return document


async def optional_json_object(request: Request) -> dict[str, Any]:
    """Read the body of a request as ``json_object`` does; none at all is an empty object."""
    is_there = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return await json_object(request) if is_there else {}


JsonObject = Annotated[dict[str, Any], Depends(json_object)]
OptionalJsonObject = Annotated[dict[str, Any], Depends(optional_json_object)]


def _check_values(value: Any) -> None:
    """Refuse what Python reads but nothing behind can keep."""
    if isinstance(value, str):
        value.encode()  # raises UnicodeEncodeError, a ValueError, on half a surrogate pair
        if "\x00" in value:
            raise InvalidRequestError("The body holds a text with a NUL character; remove it.")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_values(key)
            _check_values(entry)
    elif isinstance(value, list):
        for entry in value:
            _check_values(entry)
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise OutOfRangeError("The body holds a whole number beyond 64 bits.")


def parsed(schema: type[Schema], body: dict[str, Any]) -> Schema:
    """Check a body against a schema.

    Raises:
        UnknownFieldError: A field that the schema does not have; names the nearest.
        InvalidRequestError: A field is missing or has a wrong value.
    """
    for key in body:
        if key not in schema.model_fields:
            raise UnknownFieldError(f"{key!r} is no field here.{nearest(key, schema.model_fields)}", param=key)
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        field, said = complaint(error)
        raise InvalidRequestError(said, param=field) from error


def describes_body(schema: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Describe the body of a route for the API description (``openapi_extra``)."""
    described = schema.model_json_schema()
    content = {"application/json": {"schema": _inlined(described, described.pop("$defs", {}))}}
    return {"requestBody": {"required": required, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put definitions in the place of references to them, which mean nothing inside a larger document."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}
