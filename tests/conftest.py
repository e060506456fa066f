"""Fixtures for all tests. Everything that a test needs is started by the tests themselves."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from afinador.data import processes
from afinador.model_index import keep_index_of_models
from registry.ledger.database import upgrade
from tests.integration.stack import SLOTS, Stack, register_tiny, start, stop

# Threads that wait for each other by spinning are ruinous where more processes than cores are busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# All that is imported for the tests stays: looking through it for garbage meanwhile takes 3 s.
gc.disable()

keep_index_of_models()

# Clients are made by the hundred, and reading the certificates, 60 to 100 ms for each, is most of what making one takes.
# httpx is ours, httpx2 that of openai and huggingface_hub.
for _library in (httpx, httpx2):
    _library._transports.default.create_ssl_context = functools.cache(_library.create_ssl_context)  # type: ignore[attr-defined]

# What is drawn is the same each time, so that a change that breaks nothing is never red by chance; HYPOTHESIS_PROFILE=explore
# draws anew, as after work on a reader.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("explore", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).parent.parent


SHARED = {
    "tests/deployments/test_stack.py": "the whole stack",
    "tests/integration/": "the whole stack",
    "tests/faults/": "the whole stack",
    "tests/registry/prefect_runs/": "a Prefect server",
}
"""Where the tests lie that share what takes long to start, and what that is."""


OPERATOR = """
defaults: {generation_max_new_tokens: 24}
limits: {generation_max_new_tokens: {maximum: 64}}
model_aliases: {house-model: tiny}
"""
"""What the operator of the whole stack has set: nothing that changes what is learnt, and short sample answers."""


class FilesTogether(LoadScopeScheduling):
    """Gives each file of tests to one process, and all files that share what takes long to start to one, too.

    (xdist's own groups of marked tests do not work with pytest 9.2: they are written into a node's id too late.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((shared for place, shared in SHARED.items() if file.startswith(place)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FilesTogether:
    """Say how tests are shared out among processes."""
    return FilesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest and mostly waits, so that no process ends alone with it."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Give each process a part of the tests to import first, so that it finds the others' parts compiled.

    Where all begin with the same file, each rewrites the asserts of all files, which takes 9 s.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    roots = [ROOT / argument.partition("::")[0] for argument in session.config.args]
    files = sorted({file for root in roots for file in (root.rglob("test_*.py") if root.is_dir() else [root])})
    alone = [file for file in files if not file.with_name("__init__.py").exists()]
    for file in alone[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with contextlib.suppress(Exception):  # the collection imports it again and tells what is wrong
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep what is imported by now out of the sight of the garbage collector.

    accelerate collects all garbage for each training, and looking through torch, Prefect and MLflow takes 0.4 s.
    """
    gc.freeze()
    gc.enable()


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


@pytest.fixture(scope="session")
def stack(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack that runs two jobs at once, with the base model ``tiny`` and an operator's file.

    At rest it costs an eighth of a core.
    """
    operator = tmp_path_factory.mktemp("operator") / "operator.yaml"
    operator.write_text(OPERATOR)
    running = start(
        root,
        tmp_path_factory.mktemp("home"),
        AFINADOR_CPU_SLOTS=str(SLOTS),
        AFINADOR_CONFIG=str(operator),
        PREFECT_WORKER_QUERY_SECONDS="1",  # each half second it is half of what Prefect's server does at rest
    )
    try:
        register_tiny(running)
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file of the newest schema with nothing in it; a copy takes a hundredth of the time of making it."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def others_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is shared among processes from its first part on: who asks does none itself until they have started."""
    really = processes._Family.has_started

    def wait(family: processes._Family[Any, Any]) -> bool:
        while not really(family):
            time.sleep(0.01)
        return True

    monkeypatch.setattr(processes._Family, "has_started", wait)


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
