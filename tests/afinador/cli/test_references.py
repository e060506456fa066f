"""The references that are made from the code."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from afinador.cli.catalogue import COMMANDS
from afinador.config.hyperparameters import METHODS_TODAY
from afinador.config.limits import limits_of
from afinador.settings import Settings

Generate = Callable[..., int]


@pytest.fixture(scope="module")
def generate(root: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate", root / "docs" / "generate.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def run(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generate:
    """Runs it in a folder of this test."""
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    monkeypatch.setattr(generate, "synchronous_modules", lambda _: ())

    def main(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["generate.py", *words])
        return int(generate.main())

    return main


def test_drift_is_noticed_and_nothing_written_by_the_check(run: Generate, tmp_path: Path) -> None:
    assert run("--check") == 1
    assert list(tmp_path.iterdir()) == []
    assert run() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "api.md", "cli.md", "configuration.md", "formats.md", "preparation.md",
    ]  # fmt: skip
    assert run("--check") == 0
    (tmp_path / "cli.md").write_text("old")
    assert run("--check") == 1
    assert (tmp_path / "cli.md").read_text() == "old"


def test_the_synchronous_client_is_the_asynchronous_one(generate: ModuleType, root: Path) -> None:
    made = dict(generate.synchronous_modules(root))
    assert {path.name for path in made} > {"client.py", "connection.py", "jobs.py"}
    assert [path for path, text in made.items() if path.read_text() != text or "async " in text] == []


def test_nothing_is_left_out(run: Generate, tmp_path: Path) -> None:
    run()
    cli, api, configuration = ((tmp_path / name).read_text() for name in ("cli.md", "api.md", "configuration.md"))
    for command in COMMANDS:
        assert f"## {command.title}\n" in cli
    for action in COMMANDS[0].parser()._actions:
        assert action.dest == "help" or all(f"`{name}" in cli for name in action.option_strings)
    for route in ("POST /v1/fine_tuning/jobs", "GET /v1/hub/models/{name}", "GET /v1/health", "POST /v1/files"):
        assert f"## {route}\n" in api
    for name in Settings.model_fields:
        assert name.upper() in configuration
    for method in METHODS_TODAY:
        for key in limits_of(method):
            assert f"| `{key}`" in configuration
