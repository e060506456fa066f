"""Fixtures for all tests. Everything that a test needs is started by the tests themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Threads that wait for each other by spinning are ruinous where more processes than cores are busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of further test data beside the repository; tests on it are left out where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is absent: tests on that data are left out")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in (
        "AFINADOR_HOME",
        "AFINADOR_API_KEY",
        "AFINADOR_BASE_URL",
        "AFINADOR_CONFIG",
        "AFINADOR_OPERATOR_KEY",
        "AFINADOR_DATABASE_URL",
        "AFINADOR_STORAGE_URL",
        "AFINADOR_MODEL_ROOTS",
        "MLFLOW_TRACKING_URI",
        "PREFECT_API_URL",
        "HF_TOKEN",
        "TOKEN_HUGGING_FACE",
        "HF_ENDPOINT",
        "OPENAI_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
