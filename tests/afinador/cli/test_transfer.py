"""Bars on a terminal: how much is done, of how much, and the time that is left."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from afinador.cli.transfer import bytes_bar, records_bar, rows_bar


def on_a_terminal(*words: str, home: Path) -> str:
    """Run the command line with a terminal as its standard error, and return what came there."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm", "AFINADOR_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "afinador.cli", *words], stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 1 << 16)
        except OSError:  # the other end was closed
            break
    assert process.wait() == 0, said.decode()
    os.close(ours)
    return said.decode()


def test_a_data_set_and_its_tokens_are_followed(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    rows = [
        {"prompt": f"{number} {'a long story ' * 20}", "completion": f"It ends {number}."} for number in range(2500)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    folder = root / "examples" / "base_model" / "model"
    said = on_a_terminal("validate", "dataset", str(path), "--base-model", str(folder), home=tmp_path)
    assert "long.jsonl, by the tokenizer" in said
    done = [int(number) for number in re.findall(r"(\d+)/2500", said)]
    assert done == sorted(done) and 0 < done[-1] <= 2500
    assert re.search(r"\d+:\d\d", said), "the time that is left"


@pytest.mark.parametrize("bar", [bytes_bar, records_bar])
def test_nothing_is_shown_without_a_terminal_or_when_nobody_wants_it(
    bar: object, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_terminal, is_shown in ((False, True), (True, False)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal)
        with bar("title", is_shown=is_shown) as update:  # type: ignore[operator]
            update(1, 2)
        with rows_bar(lambda: 3, is_shown=is_shown) as step:
            step("reading", 1)
    assert capfd.readouterr() == ("", "")


def test_bytes_are_shown_with_rate_and_size(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    with bytes_bar("made.csv") as update:
        update(500_000, 2_000_000)
    shown = capfd.readouterr().err
    assert "made.csv" in shown and "0.5/2.0 MB" in shown
