"""The API description: each route once, under ``/v1``, with the errors that it really gives, and a page to read it."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "description": "All four are always there.",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong, what was allowed, and the remedy."},
                "type": {"type": "string", "description": "OpenAI's family of errors."},
                "param": {"type": ["string", "null"], "description": "The field to blame, dotted."},
                "code": {"type": ["string", "null"], "description": "A stable word for programs."},
            },
        }
    },
}
ERROR_ANSWER = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
METHODS = ("get", "post", "put", "patch", "delete")

_PLACES = {"api": "/v1", "docs": "/docs", "openapi": "/openapi.json", "health": "/health"}

router = APIRouter(include_in_schema=False)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with our errors in the place of its 422."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in document["paths"].values():
            for operation in path.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
                operation["responses"]["default"] = ERROR_ANSWER
        schemas = document["components"]["schemas"]
        for replaced in ("HTTPValidationError", "ValidationError"):
            schemas.pop(replaced, None)
        schemas["Error"] = ERROR_SCHEMA
        app.openapi_schema = document
    return app.openapi_schema


@router.get("/")
def read_root(request: Request) -> Response:
    """Lead browsers to the page, and tell programs where things are."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/docs")
    places = {name: str(request.base_url.replace(path=path)) for name, path in _PLACES.items()}
    return JSONResponse({"name": request.app.title, "version": request.app.version, **places})


@router.get("/docs")
def read_description(request: Request) -> HTMLResponse:
    """Show the description as one page that needs nothing from elsewhere: many machines have no internet."""
    document = request.app.openapi()
    operations = [
        _section(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    return HTMLResponse(_PAGE.format(title=escape(document["info"]["title"]), body="\n".join(operations)))


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (each["name"], each["in"], each.get("schema", {}), each.get("required", False), each.get("description", ""))
        for each in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        _, meanings = split_docstring(schema.get("description", ""))
        for name, field in schema.get("properties", {}).items():
            meaning = meanings.get(name) or field.get("description", "")
            rows.append((name, "body", field, name in schema.get("required", []), meaning))
    table = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{place}<td>{_marked(type_of(schema))}"
        f"<td>{_marked(_default_of(schema, is_required=is_required))}<td>{_marked(meaning)}"
        for name, place, schema, is_required, meaning in rows
    )
    said = operation.get("description", operation.get("summary", ""))
    return (
        f"<section><h2><b>{method}</b> <code>{escape(path)}</code></h2>"
        f"<p>{_marked(said)}</p>" + (f"<table>{table}</table>" if rows else "") + "</section>"
    )


def split_docstring(description: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its text and the meanings of its attributes; code has single backticks."""
    text, _, attributes = description.replace("``", "`").partition("Attributes:")
    meanings = {}
    for entry in re.split(r"\n(?=\s{0,4}\w+: )", attributes):
        name, colon, meaning = entry.strip().partition(": ")
        if colon:
            meanings[name] = " ".join(meaning.split())
    return " ".join(text.split()), meanings


def type_of(schema: dict[str, Any]) -> str:
    """Return a schema's type, or its allowed values, in a few words; code stands in backticks."""
    if "anyOf" in schema:
        return " or ".join(type_of(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"array of {type_of(schema.get('items', {}))}"
    bounds = [schema[bound] for bound in ("minimum", "maximum") if bound in schema]
    return f"{schema.get('type', 'any')}{', {} to {}'.format(*bounds) if len(bounds) == 2 else ''}"


def _default_of(schema: dict[str, Any], *, is_required: bool) -> str:
    if is_required:
        return "required"
    default = schema.get("default")
    return f"default `{default}`" if default not in (None, "", [], {}) else ""


def _marked(text: str) -> str:
    """Return a text as HTML, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.replace("``", "`"), quote=False))


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} API</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }}
section {{ border-top: 1px solid #8884; }} h2 {{ font-size: 1rem; }} p {{ white-space: pre-line; }}
table {{ border-collapse: collapse; }} td {{ padding: .15rem 1rem .15rem 0; vertical-align: top; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee; }} a {{ color: #8cf; }} }}
</style>
<h1>{title} API</h1>
<p>Send <code>Authorization: Bearer KEY</code> or <code>X-API-Key: KEY</code>. The shapes are OpenAI's; every route also
works without <code>/v1</code>. For programs: <a href="/openapi.json">openapi.json</a>.</p>
{body}
</html>
"""
