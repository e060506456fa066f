"""Both clients by the same tests: the asynchronous one is run on a loop of the test's, one call at a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest

from afinador import Afinador, AsyncAfinador
from afinador.client.access import Access
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.connection import Connection

KINDS = ("sync", "async")


class OnLoop:
    """An asynchronous object as a synchronous one: what it answers is awaited, what it lists is gone through."""

    def __init__(self, wrapped: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._wrapped, self._loop = wrapped, loop

    def __getattr__(self, name: str) -> Any:
        return self._plain(getattr(self._wrapped, name))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        plain = [each._wrapped if isinstance(each, OnLoop) else each for each in arguments]
        return self._plain(self._wrapped(*plain, **named))

    def __iter__(self) -> Iterator[Any]:
        items = aiter(self._wrapped)
        while (item := self._loop.run_until_complete(anext(items, None))) is not None:
            yield item

    def __enter__(self) -> OnLoop:
        self._loop.run_until_complete(self._wrapped.__aenter__())
        return self

    def __exit__(self, *raised: Any) -> None:
        self._loop.run_until_complete(self._wrapped.__aexit__(*raised))

    def _plain(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            return self._loop.run_until_complete(value)
        ours = type(value).__module__.startswith("afinador.client.asynchronous") or isinstance(value, AsyncIterable)
        return OnLoop(value, self._loop) if ours or inspect.isroutine(value) else value


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two."""
    return str(request.param)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def part(kind: str, loop: asyncio.AbstractEventLoop) -> Callable[[str], Any]:
    """Gives a module of the kind that is tested."""

    def find(name: str) -> Any:
        if kind == "sync":
            return import_module(f"afinador.client.{name}")
        return OnLoop(import_module(f"afinador.client.asynchronous.{name}"), loop)

    return find


@pytest.fixture
def package(kind: str) -> str:
    """Where the modules of the kind that is tested lie, for ``monkeypatch``."""
    return "afinador.client" if kind == "sync" else "afinador.client.asynchronous"


@pytest.fixture
def pauses(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, each time."""
    seconds: list[float] = []

    async def pause(asked: float) -> None:
        seconds.append(asked)

    monkeypatch.setattr(f"{package}.waiting.pause", seconds.append if kind == "sync" else pause)
    return seconds


@pytest.fixture
def connect(kind: str, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Makes clients of the kind that is tested."""

    def make(*arguments: Any, **named: Any) -> Any:
        return Afinador(*arguments, **named) if kind == "sync" else OnLoop(AsyncAfinador(*arguments, **named), loop)

    return make


@pytest.fixture
def client(connect: Callable[..., Any], service: Any) -> Iterator[Any]:
    with connect(service.url, service.key, service.operator_key) as opened:
        yield opened


Answer = httpx.Response | Exception | Callable[[], httpx.Response]


@pytest.fixture
def play(kind: str, loop: asyncio.AbstractEventLoop) -> Callable[..., tuple[Any, list[httpx.Request]]]:
    """Makes connections whose other end gives certain answers, and lists of what it was asked."""

    def make(*answers: Answer) -> tuple[Any, list[httpx.Request]]:
        asked: list[httpx.Request] = []
        coming = iter(answers)

        async def answer_async(request: httpx.Request) -> httpx.Response:
            await request.aread()
            return noted(request)

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            return noted(request)

        def noted(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            given = next(coming)
            if isinstance(given, Exception):
                raise given
            if not isinstance(given, httpx.Response):
                return given()
            return httpx.Response(given.status_code, headers=given.headers, content=given.content)  # each is read once

        access = Access("http://service.test/v1/", "af-key", "af-operator")
        if kind == "sync":
            return Connection(access, transport=httpx.MockTransport(answer)), asked
        return OnLoop(AsyncConnection(access, transport=httpx.MockTransport(answer_async)), loop), asked

    return make
