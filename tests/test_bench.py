"""The measurements of ``bench/`` can be asked for, and those that need no whole stack run, on little."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from runpy import run_module, run_path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS
from bench import training

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


def measured(name: str, *options: str) -> Any:
    command = [sys.executable, "-m", f"bench.{name}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_validation_is_held_against_reading_alone() -> None:
    figures = measured("validate_1gb", "--megabytes", "1")
    for form in ("jsonl", "csv"):
        ways = figures[form]
        assert len({ways[way]["records"] for way in ("bare", "validate", "validate_alone")}) == 1
        for way in ("validate", "validate_alone"):
            assert ways[way]["ratio"] > 0 and ways[way]["counts"] == {} and ways[way]["peak_mb"] > 10


def test_preparation_by_several_processes_is_held_against_one() -> None:
    figures = measured("prepare", "--megabytes", "1", "--only", "all")
    one, several = figures["one-all"], figures["several-all"]
    assert one["records"] == several["records"] > 100
    assert several["ratio"] == pytest.approx(several["seconds"] / one["seconds"], abs=0.01)


def test_every_get_is_asked_with_a_full_ledger() -> None:
    figures = measured(
        "api_answers", "--jobs", "4", "--versions", "2", "--files", "4", "--requests", "2", "--settle-seconds", "0"
    )
    routes = [route for routes in ROUTERS for route in routes.router.routes if isinstance(route, APIRoute)]
    gets = {route.path.replace(":path}", "}") for route in routes if "GET" in route.methods}
    assert len(gets) > 30 and gets <= figures["routes"].keys()
    assert all(0 < route["p50_ms"] <= route["most_ms"] for route in figures["routes"].values())


def test_command_line_is_called_as_a_shell_would() -> None:
    figures = measured("command_line", "--repeat", "1")
    bare = figures.pop("python -c pass")
    assert len(figures) == 5 and all(seconds > bare for seconds in figures.values())


def test_peer_trains_the_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TRL is not here; the plain Trainer needs nothing else, and all else of the file is the same for both."""
    model = ROOT / "examples" / "base_model" / "model"
    monkeypatch.setattr(training, "make_model", lambda folder: shutil.copytree(model, folder))
    records = [{"prompt": f"word {number}", "completion": "word"} for number in range(training.BATCH_SIZE + 1)]
    assert training.make_workload(tmp_path, records, epochs=2) > len(records)
    program = ROOT / "bench" / "peers" / "train.py"
    monkeypatch.setattr(sys, "argv", [str(program), "transformers", str(tmp_path)])
    capsys.readouterr()
    run_path(str(program), run_name="__main__")
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(result["losses"]) == len(result["ended_at"]) == 4 and result["peak_bytes"] > 1e6
    assert result["losses"][-1] < result["losses"][0]
    monkeypatch.setattr(sys, "argv", [str(program), "other", str(tmp_path)])
    with pytest.raises(SystemExit):
        run_path(str(program), run_name="__main__")
    assert "trl-no-checkpointing" in capsys.readouterr().err
