"""Jobs that are followed over losses of the service: how long it may be away, and what is not told twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from afinador import errors

Play = Callable[..., tuple[Any, list[httpx.Request]]]
Part = Callable[[str], Any]

REFUSED = httpx.ConnectError("refused")


def stream(text: str) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, text=text)


@pytest.fixture(autouse=True)
def _without_waiting(pauses: list[float]) -> None: ...


def test_a_log_that_broke_off_goes_on_without_repeating(play: Play, part: Part) -> None:
    lines = [f'data: {{"line": "{name}"}}\n\n' for name in "abc"]
    connection, _ = play(stream("".join(lines[:2])), stream("".join(lines) + "data: [DONE]\n\n"))
    assert list(part("following").follow_log(connection, "job")) == ["a", "b", "c"]


def test_events_that_broke_off_go_on_behind_the_last_one(play: Play, part: Part) -> None:
    events = [f'data: {{"id": "{name}"}}\n\n' for name in "abc"]
    connection, asked = play(stream("".join(events[:2])), REFUSED, stream(events[2] + "data: [DONE]\n\n"))
    assert [event["id"] for event in part("following").follow_events(connection, "job")] == ["a", "b", "c"]
    assert [dict(request.url.params).get("after") for request in asked] == [None, "b", "b"]


@pytest.fixture
def clock(package: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that following reads, and that only the test and its pauses move."""
    now = [0.0]
    monkeypatch.setattr(f"{package}.following.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize("follow", ["follow_events", "follow_log"])
def test_a_stream_outlives_a_short_loss_however_old_its_last_message_is(
    play: Play, part: Part, clock: list[float], follow: str
) -> None:
    first, second = (f'data: {{"id": "{name}", "line": "{name}"}}\n\n' for name in "ab")
    both = "" if follow == "follow_events" else first
    connection, _ = play(stream(first), REFUSED, stream(both + second + "data: [DONE]\n\n"))
    seen = []
    for message in getattr(part("following"), follow)(connection, "job"):
        seen.append(message if follow == "follow_log" else message["id"])
        clock[0] += 3600
    assert seen == ["a", "b"]


def test_a_stream_that_was_opened_is_an_answer(play: Play, part: Part, clock: list[float]) -> None:
    last = stream('data: {"id": "a"}\n\ndata: [DONE]\n\n')
    connection, _ = play(stream(": still running\n\n"), REFUSED, REFUSED, REFUSED, last)
    assert [event["id"] for event in part("following").follow_events(connection, "job")] == ["a"]


@pytest.mark.parametrize("follow", ["follow_events", "follow_log"])
def test_a_page_of_something_else_is_not_asked_for_again_and_again(play: Play, part: Part, follow: str) -> None:
    connection, asked = play(*[httpx.Response(200, html="<html>router</html>")] * 99)
    with pytest.raises(errors.ServiceUnavailableError):
        list(getattr(part("following"), follow)(connection, "job"))
    assert len(asked) == 1


@pytest.mark.parametrize("follow", ["follow", "follow_events", "follow_log"])
def test_a_service_that_is_away_for_more_than_two_minutes_is_given_up(
    kind: str, play: Play, part: Part, package: str, clock: list[float], monkeypatch: pytest.MonkeyPatch, follow: str
) -> None:
    def pause(_: float) -> None:
        clock[0] += 50

    async def pause_async(_: float) -> None:
        clock[0] += 50

    monkeypatch.setattr(f"{package}.following.waiting.pause", pause if kind == "sync" else pause_async)
    there = json.dumps({"status": "running"}) if follow == "follow" else ": still running\n\n"
    connection, asked = play(stream(there), *[REFUSED] * 99)
    arguments = {"with_events": False} if follow == "follow" else {}
    with pytest.raises(errors.ServiceUnavailableError):
        list(getattr(part("following"), follow)(connection, "job", **arguments))
    assert 120 < clock[0] <= 400 and len(asked) >= 1 + 3


def test_a_service_that_restarts_is_waited_for(play: Play, part: Part) -> None:
    states = [httpx.Response(200, json={"status": status}) for status in ("running", "succeeded")]
    connection, _ = play(states[0], *[REFUSED] * 9, states[1])
    looks = list(part("following").follow(connection, "job", with_events=False))
    assert [look.job["status"] for look in looks] == ["running", "succeeded"]


def test_a_service_that_was_never_there_is_not(play: Play, part: Part) -> None:
    connection, _ = play(*[REFUSED] * 9)
    with pytest.raises(errors.ServiceUnavailableError):
        list(part("following").follow(connection, "job"))
