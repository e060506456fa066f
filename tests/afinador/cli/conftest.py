from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afinador.cli.main import main


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home without anything in them."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AFINADOR_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def afinador(elsewhere: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process, without a service."""

    def run(*words: object) -> Ran:
        capfd.readouterr()
        code = main([str(word) for word in words])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def online(afinador: Callable[..., Ran], service: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs a command line against the service."""
    monkeypatch.setenv("AFINADOR_BASE_URL", service.url)
    monkeypatch.setenv("AFINADOR_API_KEY", service.key)
    monkeypatch.setenv("AFINADOR_OPERATOR_KEY", service.operator_key)
    return afinador


@pytest.fixture
def job(online: Callable[..., Ran], dataset: Path) -> dict[str, Any]:
    """A queued job whose file has been checked."""
    ran = online("create", "fine-tune-job", "-basemodel", "tiny", "-dataset", dataset, "-name", "mine", "--json")
    assert ran.code == 0, ran.err
    while online("get", "file", "orders").out.find("processed") < 0:
        time.sleep(0.05)
    return dict(json.loads(ran.out))


@pytest.fixture
def folder(root: Path) -> Path:
    """The base model of the examples."""
    return root / "examples" / "base_model" / "model"
