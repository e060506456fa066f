"""The measurements of ``bench/`` can be asked for, and one of them runs, on little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from runpy import run_module

import pytest

ROOT = Path(__file__).parent.parent
MEASUREMENTS = sorted(path.stem for path in (ROOT / "bench").glob("*.py"))


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_says_what_may_be_asked_of_it_and_is_listed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        run_module(f"bench.{name}", run_name="__main__")
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("usage: ")
    assert f"python -m bench.{name}" in (ROOT / "bench" / "README.md").read_text()
    listed = (ROOT / "Makefile").read_text().partition("for each in ")[2].partition(";")[0]
    assert name in listed.split()


def test_validation_is_held_against_reading_alone() -> None:
    command = [sys.executable, "-m", "bench.validate_1gb", "--megabytes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    for form in ("jsonl", "csv"):
        ways = figures[form]
        assert len({ways[way]["records"] for way in ("bare", "validate", "validate_alone")}) == 1
        for way in ("validate", "validate_alone"):
            assert ways[way]["ratio"] > 0 and ways[way]["counts"] == {} and ways[way]["peak_mb"] > 10
