"""The clients held against the service's routes, and against what a type checker makes of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi.routing import APIRoute

from afinador import Afinador
from afinador.client.nouns import Noun
from afinador.errors import InvalidRequestError, ServiceUnavailableError
from afinador.schemas.jobs import StatusAlias
from api.app import ROUTERS
from registry.job_life.job_queries import STATUS_ALIASES

PROGRAM = Path(__file__).with_name("typed_program.py")
CRAFT = PROGRAM.with_name("typed_craft.py")
"""What a type checker is given."""

MYPY_FILE = """
[mypy]
[mypy-torch.*,transformers.*,peft.*,accelerate.*,datasets.*,numpy.*,safetensors.*]
follow_imports = skip
"""
"""Reading these takes mypy a minute, and no word of the surface is theirs."""

Use = Callable[[Any], Any]

SINGLE_CALLS: dict[str, Use] = {
    "health": lambda call: call(),
    "files.create": lambda call: call(b"{}", filename="train.jsonl"),
    "files.list": lambda call: call(purpose="fine-tune", order="asc").first(1),
    "files.get": lambda call: call("train.jsonl"),
    "files.content": lambda call: call("train.jsonl"),
    "files.delete": lambda call: call("train.jsonl"),
    "datasets.validate": lambda call: call("train.jsonl"),
    "datasets.preview": lambda call: call("train.jsonl", "tiny"),
    "preparations.create": lambda call: call("train.jsonl", [{"type": "deduplicate"}]),
    "preparations.list": lambda call: call().first(1),
    "preparations.get": lambda call: call("prep-1"),
    "preparations.cancel": lambda call: call("prep-1"),
    "jobs.create": lambda call: call(base_model="tiny", dataset="train.jsonl"),
    "jobs.list": lambda call: call(status="running").first(1),
    "jobs.get": lambda call: call("job"),
    "jobs.cancel": lambda call: call("job"),
    "jobs.pause": lambda call: call("job"),
    "jobs.resume": lambda call: call("job"),
    "jobs.verify_resume": lambda call: call("job"),
    "jobs.reproduce": lambda call: call("job"),
    "jobs.certificates": lambda call: call("job").first(1),
    "jobs.events": lambda call: next(iter(call("job", follow=True, after="ftevent-1"))),
    "jobs.checkpoints": lambda call: call("job").first(1),
    "jobs.checkpoint_files": lambda call: call("job", 4).first(1),
    "jobs.checkpoint_content": lambda call: call("job", 4, "weights/adapter_model.safetensors"),
    "jobs.publish_checkpoint": lambda call: call("job", 4),
    "jobs.metrics": lambda call: call("job"),
    "jobs.resources": lambda call: call("job"),
    "jobs.logs": lambda call: call("job"),
    "jobs.log_lines": lambda call: next(iter(call("job"))),
    "jobs.report": lambda call: call("job"),
    "job_specs.create": lambda call: call("nightly", {"base_model": "tiny", "dataset": "train"}),
    "job_specs.list": lambda call: call().first(1),
    "job_specs.get": lambda call: call("nightly"),
    "job_specs.delete": lambda call: call("nightly"),
    "models.create": lambda call: call("tiny", "hf://owner/tiny"),
    "models.list": lambda call: call(type="base").first(1),
    "models.get": lambda call: call("owner/tiny"),
    "models.delete": lambda call: call("owner/tiny"),
    "hub.models": lambda call: call().first(1),
    "hub.adapters": lambda call: call().first(1),
    "hub.get": lambda call: call("orders"),
    "hub.files": lambda call: call("orders", version=2).first(1),
    "hub.content": lambda call: call("orders", "weights/adapter_model.safetensors", version=2),
    "hub.delete": lambda call: call("orders"),
    "organizations.create": lambda call: call("acme"),
    "organizations.update": lambda call: call("acme", priority=1),
    "organizations.list": lambda call: call().first(1),
    "api_keys.create": lambda call: call("acme"),
    "api_keys.list": lambda call: call("acme").first(1),
    "api_keys.delete": lambda call: call("key-1"),
}
"""Each method that is one call of the API, as it is used with all that its query can say."""

SEVERAL_CALLS = {
    "close": "asks nothing",
    "prepare_dataset": "preparations.create and wait",
    "files.wait": "files.get, again and again",
    "files.download": "files.get and content",
    "preparations.wait": "preparations.get, again and again",
    "jobs.wait": "jobs.get, again and again",
    "jobs.download_checkpoint": "jobs.checkpoint_files, and checkpoint_content of each",
    "models.wait": "models.get, again and again",
    "hub.download": "hub.get, and content of each file",
}

WITHOUT_A_METHOD = {
    "DELETE /fine_tuning/jobs/{job}": "cancels, as jobs.cancel does",
    "PUT /models/{model}/files/{path:path}": "models.create sends the files of a local folder by it",
    "GET /hub/adapters/{name:path}": "/hub/models finds adapters, too",
    "GET /hub/adapters/{name:path}/files": "/hub/models finds adapters, too",
    "GET /hub/adapters/{name:path}/files/{path:path}": "/hub/models finds adapters, too",
    "DELETE /hub/adapters/{name:path}": "/hub/models finds adapters, too",
}

WITHOUT_AN_ARGUMENT = {
    ("GET", "limit"): "lists are read page by page",
    ("GET", "after"): "lists are read page by page",
    ("GET /fine_tuning/jobs/{job}/logs", "follow"): "jobs.log_lines",
    ("DELETE /api_keys/{key_id}", "organization"): "a key's id says whose it is",
}


class Asked(Exception):
    """Ends a call once it is known what it asks for."""


@pytest.fixture(scope="module")
def routes() -> dict[str, APIRoute]:
    found = [route for module in ROUTERS for route in module.router.routes]
    return {
        f"{method} {route.path}": route
        for route in found
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }


@pytest.fixture
def asked_by(connect: Callable[..., Any]) -> Callable[[str], httpx.Request]:
    """Gives the request that a method sends."""

    def ask(method: str) -> httpx.Request:
        requests: list[httpx.Request] = []

        def note(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            raise Asked

        client = connect("http://service.test", "af-key", transport=httpx.MockTransport(note))
        with client, pytest.raises(Asked):
            SINGLE_CALLS[method](attrgetter(method)(client))
        return requests[0]

    return ask


def methods_of_clients() -> Iterator[str]:
    """Yield the public methods, as ``files.list``."""
    with Afinador("http://service.test", "af-key") as client:
        for owner, noun in [("", client), *((f"{name}.", each) for name, each in vars(client).items())]:
            if isinstance(noun, Noun | Afinador):
                yield from (f"{owner}{name}" for name in dir(noun) if name[0] != "_" and callable(getattr(noun, name)))


def test_every_method_of_the_clients_is_known_here() -> None:
    assert sorted(methods_of_clients()) == sorted({**SINGLE_CALLS, **SEVERAL_CALLS})


def test_every_route_has_a_method_in_both_clients(
    routes: dict[str, APIRoute], asked_by: Callable[[str], httpx.Request]
) -> None:
    reached: dict[str, set[str]] = {}
    for method in SINGLE_CALLS:
        request = asked_by(method)
        path = request.url.path.removeprefix("/v1")
        name = next(
            name for name, route in routes.items() if request.method in route.methods and route.path_regex.match(path)
        )
        reached.setdefault(name, set()).update(request.url.params)
    assert sorted({*reached, *WITHOUT_A_METHOD}) == sorted(routes)
    assert not reached.keys() & WITHOUT_A_METHOD.keys()
    for name, sent in reached.items():
        declared = {field.alias for field in routes[name].dependant.query_params}
        excused = {word for (place, word) in WITHOUT_AN_ARGUMENT if place in (name, name.split()[0])}
        assert declared - sent <= excused, name


OF_BYTES_OR_TEXT = {"files.content", "jobs.checkpoint_content", "jobs.logs", "jobs.report", "hub.content"}
WAITS: dict[str, Use] = {
    "files.wait": lambda call: call("train.jsonl"),
    "files.download": lambda call: call("train.jsonl", "here"),
    "preparations.wait": lambda call: call("prep-1"),
    "jobs.wait": lambda call: call("job"),
    "jobs.download_checkpoint": lambda call: call("job", 4, "here"),
    "models.wait": lambda call: call("tiny"),
    "hub.download": lambda call: call("orders", "here"),
}


@pytest.mark.parametrize(
    ("answer", "unjudged"),
    [
        ({}, set()),
        ({"message": "Hello", "data": [{"id": "y"}]}, {"jobs.metrics", "jobs.resources", "jobs.download_checkpoint"}),
    ],
    ids=["empty", "other"],
)
def test_what_somebody_else_answers_is_told_with_the_address(
    connect: Callable[..., Any], answer: dict[str, Any], unjudged: set[str]
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    uses = {**SINGLE_CALLS, **WAITS}
    with connect("http://service.test", "af-key", transport=transport) as client:
        for method in uses.keys() - OF_BYTES_OR_TEXT - unjudged:
            with pytest.raises(ServiceUnavailableError, match=r"http://service\.test"):
                uses[method](attrgetter(method)(client))
        with pytest.raises(
            ServiceUnavailableError, match=r"test/v1/fine_tuning/jobs/job is not one of Afinador's: it is no Job"
        ):
            client.jobs.get("job")


def test_a_number_of_objects_below_none_is_refused_as_it_was_given(connect: Callable[..., Any]) -> None:
    client = connect("http://service.test", "af-key")
    with client, pytest.raises(InvalidRequestError, match="limit is -1; it must be 0 or more"):
        client.jobs.list().first(-1)


def test_other_words_for_a_status_are_typed() -> None:
    assert set(get_args(StatusAlias)) == set(STATUS_ALIASES)


@pytest.mark.parametrize("half", [0, 1])
def test_the_program_that_is_type_checked_calls_every_method(half: int) -> None:
    written = PROGRAM.read_text(encoding="utf-8").split("async def ", 1)[half]
    assert set(re.findall(r"client\.(\w+(?:\.\w+)?)\(", written)) == set(methods_of_clients())


def test_names_that_are_looked_up_on_first_use_are_known_to_type_checkers(root: Path) -> None:
    lazy = [path for path in (root / "afinador").rglob("__init__.py") if "def __getattr__" in path.read_text()]
    assert lazy
    for path in lazy:
        exported = re.findall(r"^__all__ = .*$", path.read_text(), re.MULTILINE)
        assert exported == re.findall(r"^__all__ = .*$", path.with_suffix(".pyi").read_text(), re.MULTILINE), path


def test_a_type_checker_knows_every_call_and_every_answer(
    root: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    (tmp_path / "mypy.ini").write_text(MYPY_FILE)
    options = [f"--config-file={tmp_path / 'mypy.ini'}", "--strict", "--follow-imports=silent", "--no-error-summary"]
    cache = getattr(pytestconfig, "cache", None)
    folder = cache.mkdir("mypy") if cache else root / ".mypy_cache"
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={folder}", str(PROGRAM), str(CRAFT)],
        cwd=root,
        env=os.environ | {"MYPYPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
