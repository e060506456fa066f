"""``up`` and ``db upgrade`` hand on to the clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.cli import stack
from afinador.cli.command import squash


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder whose ``python -m deployments`` says how it was called."""
    folder = tmp_path / "clone"
    (folder / "deployments").mkdir(parents=True)
    (folder / "deployments" / "__init__.py").touch()
    (folder / "deployments" / "__main__.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps([os.getcwd(), sys.argv[1:], os.environ.get('AFINADOR_HOME')]))\n"
        "sys.exit(7)\n"
    )
    return folder


def call(clone: Path, elsewhere: Path, *words: str, **environment: str) -> tuple[int, list[Any]]:
    ran = subprocess.run(
        [sys.executable, "-m", "afinador.cli", *words],
        cwd=elsewhere,
        env=os.environ | {"AFINADOR_ROOT": str(clone)} | environment,
        capture_output=True,
        text=True,
    )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else [ran.stderr]


def test_up_runs_in_the_clone_with_its_options_and_its_exit_code(clone: Path, elsewhere: Path) -> None:
    code, (folder, words, home) = call(
        clone, elsewhere, "up", "-port", "8123", "--no_mlflow", "-prefect-port=0", AFINADOR_HOME="state"
    )
    assert code == 7
    assert Path(folder) == clone.resolve()
    assert words == ["up", "--no-mlflow", "--port", "8123", "--prefect-port", "0"]
    assert home == str(elsewhere / "state")


def test_a_relative_home_means_the_folder_that_we_are_in(clone: Path, elsewhere: Path) -> None:
    _, (_, words, _) = call(clone, elsewhere, "up", "--home", "state")
    assert words == ["up", "--home", str(elsewhere / "state")]


def test_db_upgrade_runs_in_the_clone(clone: Path, elsewhere: Path) -> None:
    assert call(clone, elsewhere, "db", "upgrade")[1][1] == ["db-upgrade"]


def test_without_a_clone_it_says_what_to_set(
    afinador: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFINADOR_ROOT", str(tmp_path))
    ran = afinador("up")
    assert ran.code == 1 and str(tmp_path) in ran.err and "AFINADOR_ROOT" in ran.err and ran.err.count("\n") == 1


def test_the_folder_above_the_package_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFINADOR_ROOT", raising=False)
    assert stack.root_folder() == root.resolve()


def test_the_options_are_those_of_the_stack(root: Path) -> None:
    theirs = subprocess.run(
        [sys.executable, "-m", "deployments", "up", "--help"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    command = next(command for command in stack.COMMANDS if command.words == ("up",))
    ours = {name for action in command.parser()._actions for name in action.option_strings if name.startswith("--")}
    named = {word.strip("[],") for word in theirs.split() if word.strip("[],").startswith("--")}
    assert {squash(name) for name in ours} == {squash(name) for name in named}
