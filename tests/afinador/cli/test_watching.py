"""How a job looks while it goes on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from afinador.cli import render, watching
from afinador.errors import ServiceUnavailableError

RUNNING = {
    "name": "j",
    "status": "running",
    "progress": {"state": "training", "step": 3, "steps": 12, "train_loss": 1.25, "valid_loss": 1.5, "eta_seconds": 75},
}


def event(message: str, level: str = "info") -> dict[str, Any]:
    return {"message": message, "level": level, "type": "message", "created_at": 1_700_000_000}


def test_a_terminal_shows_state_step_losses_and_time_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with watching.screen_for(console) as screen:
        assert isinstance(screen, watching.BarScreen)
        screen.event(event("Loaded [model] tiny"))
        screen.event(event("Memory is short", "warn"))
        screen.job(RUNNING)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training" in shown and "step 3/12, loss 1.2500, validation 1.5000, 1 min 15 s left" in shown
    assert "Loaded [model] tiny" in shown and "warn: Memory is short" in shown


def test_elsewhere_a_line_comes_with_each_state_and_then_seldom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 1.0, 2.0, 11.0, 11.0, 12.0, 12.0])
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(clock))
    screen = watching.screen_for(Console(file=io.StringIO()))
    assert isinstance(screen, watching.PlainScreen)
    for step in (1, 2, 3, 4):
        screen.job({"status": "running", "progress": {"state": "training", "step": step, "steps": 9}})
    screen.job({"status": "succeeded", "progress": {"state": "done", "step": 9, "steps": 9}})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["training: step 1/9", "training: step 4/9", "succeeded: step 9/9"]


def test_a_job_that_waits_shows_its_status_and_one_that_ended_no_time_left() -> None:
    assert watching._state({"status": "queued", "progress": None}) == "queued"
    assert "left" not in watching._figures({**RUNNING, "status": "failed"})


def test_a_job_back_in_the_queue_shows_nothing_of_its_attempt_before(capsys: pytest.CaptureFixture[str]) -> None:
    watching.PlainScreen().job({**RUNNING, "status": "queued"})
    assert capsys.readouterr().err == "queued\n"


def test_a_service_that_goes_away_and_comes_back_is_said_once_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"name": "j", "status": "succeeded", "progress": None}
    answers = iter([RUNNING, None, None, RUNNING, None, ended])

    class Flaky:
        """Answers, or does not, as the list above says."""

        def json(self, call: Any, needed: str | None = None) -> dict[str, Any]:
            if call.path.endswith("/events"):
                return {"data": [], "has_more": False}
            if (answer := next(answers)) is None:
                raise ServiceUnavailableError("nobody there")
            return answer

    monkeypatch.setattr(watching.following.time, "sleep", lambda seconds: None)
    assert watching.show(Flaky(), "j", watching.PlainScreen()) == ended  # type: ignore[arg-type]
    said = [line for line in capsys.readouterr().err.splitlines() if "answer" in line]
    assert said == ["The service does not answer; trying again.", "It answers again."] * 2


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"status": "failed", "error": {"message": "No memory."}}, "Job j failed after 20 s. No memory."),
        ({"status": "cancelled"}, "Job j was cancelled after 20 s."),
        (
            {"status": "succeeded", "spec": {"output": {"kind": "model", "name": "bot"}}},
            "Job j succeeded in 20 s. Its result: afinador get hub-model bot --download DIR",
        ),
    ],
)
def test_the_ending_is_one_sentence_with_what_comes_next(job: dict[str, Any], words: str) -> None:
    assert watching.ending_of({"name": "j", "created_at": 100, "finished_at": 120, **job}) == words


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "-")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999 B"), (1500, "1.5 kB"), (999_960, "1.0 MB"), (2.5e12, "2500.0 GB")]
)
def test_sizes(size: float, text: str) -> None:
    assert render.size(int(size)) == text


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_right() -> None:
    shown = render.table(("name", "loss"), [("a", 1.5), ("longer", 12.25)])
    assert shown.splitlines() == ["NAME     LOSS", "a         1.5", "longer  12.25"]


def test_losses_are_a_curve_in_a_terminal_and_numbers_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    losses = [4.0 / (step + 1) for step in range(100)]
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with watching.screen_for(console) as screen:
        screen.job(RUNNING, losses)
    curve = render.sparkline(losses)
    assert curve in console.file.getvalue()  # type: ignore[attr-defined]
    assert (len(curve), curve[0], curve[-1]) == (24, "█", "▁")
    watching.PlainScreen().job(RUNNING, losses)
    said = capsys.readouterr().err
    assert "(loss 4 > " in said and said.rstrip().endswith("> 0.04)") and said.isascii()
    assert render.sparkline([]) == render.sparkline([1.0, 1.0]) == ""


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(watching.screen_for(Console(file=io.StringIO(), force_terminal=True)), watching.PlainScreen)
