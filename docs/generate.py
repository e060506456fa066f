"""Writes what is made from the code: ``cli.md``, ``api.md``, ``configuration.md``, ``formats.md``, ``preparation.md`` and the synchronous client.

``python docs/generate.py`` writes them, with ``--check`` it only says which of them are out of date (exit code 1).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path[:0] = [str(ROOT), str(FOLDER)]

from data_sets import formats  # noqa: E402
from markdown_lines import Lines, code, table  # noqa: E402
from preparation_steps import preparation  # noqa: E402
from synchronous import synchronous_modules  # noqa: E402

NOTE = "<!-- Made by docs/generate.py from the code; change that, then run `make docs`. -->"


def main() -> int:
    """Write or check all references and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a reference is out of date")
    is_check = parser.parse_args().check
    outdated = []
    for path, text in made():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            outdated.append(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))
            if not is_check:
                path.write_text(text, encoding="utf-8")
    if outdated:
        said = "out of date, run `make docs`" if is_check else "written"
        sys.stderr.write(f"{', '.join(outdated)}: {said}.\n")
    return 1 if outdated and is_check else 0


def made() -> Iterator[tuple[Path, str]]:
    """Yield path and text of each file that is made; the client first, which the references speak of."""
    yield from synchronous_modules(ROOT)
    for name, make in REFERENCES.items():
        yield FOLDER / name, "\n".join([NOTE, "", *make()]).rstrip() + "\n"


# The command line


def cli() -> Lines:
    """Yield the reference of the command line, from its parsers."""
    from afinador.cli.catalogue import COMMANDS, EPILOGUE
    from afinador.cli.grammar import SPELLINGS

    yield from ("# Command line", "")
    yield "Verb, noun, options. Options are read with one dash or two, dashed or not: `-basemodel` is `--base-model`."
    yield from ("Nouns are read in singular and plural, and some have further names:", "")
    further = [(code(noun), ", ".join(map(code, others))) for noun, others in SPELLINGS.items() if others]
    yield from table(("noun", "also"), further)
    yield from ("```", EPILOGUE.partition("examples:")[0].strip(), "```", "")
    yield from table(
        ("command", "does"),
        [(f"[`{command.title}`](#{command.title.replace(' ', '-')})", command.summary) for command in COMMANDS],
    )
    for command in COMMANDS:
        yield from _command(command)


def _command(command: Any) -> Lines:
    parser = command.parser()
    yield from (f"## {command.title}", "", f"{command.summary}.", "")
    if command.details:
        yield from (command.details, "")
    yield from ("```", parser.usage, "```", "")
    rows = [
        (_spelled(action), str(action.help).replace("%%", "%"))
        for action in parser._actions
        if "--help" not in action.option_strings
    ]
    yield from table(("argument", "meaning"), rows)
    yield from ("```", *command.examples, "```", "")


def _spelled(action: argparse.Action) -> str:
    if not action.option_strings:
        return code(action.metavar)
    value = f" {action.metavar or action.dest.upper()}" if action.nargs != 0 else ""
    return ", ".join(code(f"{name}{value}") for name in action.option_strings)


# The settings and hyperparameters


def configuration() -> Lines:
    """Yield the environment variables, from the settings, and the hyperparameters, from their files of defaults."""
    from afinador.config.described import described
    from afinador.config.unknown_keys import KEYS_OF_OTHERS, LATER_FIELDS

    yield from ("# Configuration", "", "## Environment", "")
    yield "Read once at start, also from a file `.env` in the working directory; an empty variable counts as unset."
    yield ""
    yield from table(("variable", "default", "meaning"), list(_settings()))
    yield "The storage `s3://…` is reached with the usual `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and"
    yield "`AWS_ENDPOINT_URL`. The command line also reads `AFINADOR_ROOT` (the clone that `afinador up` starts; by default"
    yield from ("the folder above the package) and `AFINADOR_DEBUG` (shows where a fault of its own came from).", "")
    yield "One file lies elsewhere, in `$XDG_CACHE_HOME/afinador` (by default `~/.cache/afinador`): which models the installed version"
    yield from (
        "of transformers knows, 160 kB, so that each process need not find out. It may be deleted at any time.",
        "",
    )
    yield from ("## Hyperparameters", "")
    yield "Strongest first: the request, its `config`, the operator's file (`AFINADOR_CONFIG`), these defaults from"
    yield from ('`afinador/config/defaults/`. `"auto"` means the default. Ranges are inclusive.', "")
    yield "`config` is an object in a request or in the SDK, `config:` in a job file, `-config FILE` (YAML or JSON) on the command"
    yield "line; `--set key=value` there belongs to the request and is read as YAML: numbers, `true`, `[a, b]`, `null`. A key that nobody"
    yield "knows, one given twice, a value out of range and an empty one (`--set epochs=`, `epochs:` in a file) are refused by name;"
    yield "`null` means that a key is not given, unless the tables below say what it means. `seed` may stand in `config` too, and"
    yield "the hyperparameters there also below `hyperparameters`, as in a file with a whole request. A job's `spec.sources`"
    yield from (
        "(`afinador get job JOB --json`) says of each value where it came from; `get job` without `--json` shows the chosen ones.",
        "",
    )
    yield "Of two keys that exclude each other (`warmup_steps` and `warmup_ratio`, `packing` and `flash_attention_2`) the one that is given"
    yield "more strongly counts, and both given in one place are refused. A default of the operator that a job cannot use is left out there:"
    yield from (
        "`packing` of a classifier, `promote_if` of a job without a validation file, `output_dir` in the service.",
        "",
    )
    yield from ("The operator's file, checked whole when the service starts:", "")
    yield from ("```yaml", "defaults: {epochs: 2, early_stopping_patience: 3}", "limits: {epochs: {maximum: 50}}")
    yield from ("methods:", "  lora: {defaults: {lora_rank: 8}, limits: {lora_rank: {maximum: 32}}}")
    yield from (
        "model_aliases: {gpt-4o-mini: tiny}",
        "loaders: [acme.readers]  # modules of loaders, see formats.md",
        "```",
        "",
    )
    yield "A default of the operator that needs a validation file (`early_stopping_patience`, `promote_if`) holds for jobs that have one."
    yield ""
    later = [f"{code(key)} ({what})" for key, what in {**KEYS_OF_OTHERS, **LATER_FIELDS}.items()]
    yield from (f"Refused by name today, for they belong to what is still to come: {', '.join(later)}.", "")
    everything = described()
    for methods in sorted({each.methods for each in everything}):
        yield from (f"### Only {' and '.join(map(code, methods))}" if methods else "### Every method", "")
        rows = [
            (", ".join(map(code, (each.key, *each.others))), code(_default(each.default)), each.values, each.meaning)
            for each in everything
            if each.methods == methods
        ]
        yield from table(("key", "default", "allowed", "meaning"), rows)


def _settings() -> Iterator[tuple[str, str, str]]:
    from pydantic import AliasChoices
    from pydantic_core import PydanticUndefined

    from afinador.settings import Settings

    prefix = Settings.model_config.get("env_prefix", "")
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names = [f"{prefix}{name}".upper()]
        if isinstance(alias, AliasChoices):
            names = [choice for choice in alias.choices if isinstance(choice, str) and choice.isupper()]
        default = "" if field.default in (None, PydanticUndefined) else code(field.default)
        yield ", ".join(map(code, names)), default, field.description or ""


def _default(value: object) -> str:
    if value in (None, []):
        return "null" if value is None else "[]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# The API


def api() -> Lines:
    """Yield the reference of the API, from the description that it gives of itself."""
    document = _openapi()
    yield from ("# API", "", document["info"].get("description", "").strip(), "")
    yield "A running service describes itself at `/docs` and `/openapi.json`. Every call but `/health` needs"
    yield '`Authorization: Bearer KEY` (or `X-API-Key: KEY`). Errors are `{"error": {"message", "type", "param",'
    yield from ('"code"}}`, and every answer carries `x-request-id`.', "")
    routes = [
        (path, method.upper(), route)
        for path, methods in document["paths"].items()
        for method, route in methods.items()
    ]
    rows = [(code(f"{method} {path}"), route.get("summary", "")) for path, method, route in routes]
    yield from table(("route", "does"), rows)
    for path, method, route in routes:
        yield from _route(path, method, route)
    yield from ("# Objects", "")
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        if "HTTPValidationError" not in name and "ValidationError" not in name and not name.startswith("Page_"):
            yield from (f"## {name}", "", *_object(schema))


def _openapi() -> dict[str, Any]:
    from afinador.settings import Settings
    from api.app import create_app
    from registry.memory import Memory

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(_env_file=None, home=Path(home))  # type: ignore[call-arg]
        return dict(create_app(Memory.open(settings)).openapi())


def _route(path: str, method: str, route: dict[str, Any]) -> Lines:
    from api.openapi_description import split_docstring

    yield from (f"## {method} {path}", "", split_docstring(route.get("description", route.get("summary", "")))[0], "")
    parameters = [
        (code(each["name"]), each["in"], _type(each.get("schema", {})), _said(each, each.get("schema", {})))
        for each in route.get("parameters", [])
    ]
    yield from table(("parameter", "in", "type", "meaning"), parameters)
    for media, content in route.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body, `{media}`:", "", *_object(content.get("schema", {})))
    answer = next(iter(route.get("responses", {}).values()), {})
    schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    if schemas and schemas[0]:
        yield from (f"Answers {_type(schemas[0])}.", "")


def _object(schema: dict[str, Any]) -> Lines:
    """Yield what an object is and its fields; their meanings stand in the class's docstring."""
    from api.openapi_description import split_docstring

    description, meanings = split_docstring(schema.get("description", ""))
    if description:
        yield from (description, "")
    needed = schema.get("required", [])
    rows = [
        (code(name) + (" (required)" if name in needed and "default" not in field else ""), _type(field),
         meanings.get(name) or _said(field, field))
        for name, field in schema.get("properties", {}).items()
    ]  # fmt: skip
    yield from table(("field", "type", "meaning"), rows)


def _said(outer: dict[str, Any], schema: dict[str, Any]) -> str:
    default = schema.get("default")
    said = outer.get("description") or schema.get("description") or ""
    return (
        f"{said} Default: `{default}`.".strip() if default not in (None, "", [], {}) and "const" not in schema else said
    )


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        page = re.fullmatch(r"Page_(\w+?)_", name)
        return f"a list of {_link(page[1])}" if page else _link(name)
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


REFERENCES: dict[str, Callable[[], Lines]] = {
    "cli.md": cli,
    "api.md": api,
    "configuration.md": configuration,
    "formats.md": formats,
    "preparation.md": preparation,
}

if __name__ == "__main__":
    sys.exit(main())
