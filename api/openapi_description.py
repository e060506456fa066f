"""The API description: each route once, under ``/v1``, with the errors that it really gives, and a page to read it."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong, what was allowed, and the remedy."},
                "type": {"type": "string"},
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
METHODS = ("get", "post", "delete")

router = APIRouter(include_in_schema=False)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with our errors in the place of its 422."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = ERROR_ANSWER
        schemas = document["components"]["schemas"]
        for replaced in ("HTTPValidationError", "ValidationError"):
            schemas.pop(replaced, None)
        schemas["Error"] = ERROR_SCHEMA
        app.openapi_schema = document
    return app.openapi_schema


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
        (parameter["name"], parameter["in"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        for name, field in schema.get("properties", {}).items():
            note = "required" if name in schema.get("required", []) else ""
            rows.append((name, "body", field.get("description", note)))
    table = "".join(f"<tr><td><code>{escape(a)}</code><td>{escape(b)}<td>{escape(c)}" for a, b, c in rows)
    return (
        f"<section><h2><b>{method}</b> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
        + (f"<table>{table}</table>" if rows else "")
        + "</section>"
    )


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
