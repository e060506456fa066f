"""Two organisations and more jobs than slots, on a stack of their own. ``crowd.py`` does it with as many as you like."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crowd import run
from tests.integration.stack import Stack, start, stop

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

JOBS, SLOTS = 6, 2


@pytest.fixture
def own_stack(root: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack that runs two jobs at once."""
    running = start(root, tmp_path / "home", AFINADOR_CPU_SLOTS=str(SLOTS))
    try:
        yield running
    finally:
        stop(running)


def test_jobs_of_two_organizations_share_two_slots_and_all_succeed(own_stack: Stack) -> None:
    assert run(own_stack, JOBS, SLOTS).most_trainers == SLOTS
    folders = [folder for folder in (own_stack.home / "runs").iterdir() if folder.is_dir()]
    threads = {json.loads((folder / "result.json").read_text())["environment"]["threads"] for folder in folders}
    share = os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // SLOTS)
    assert len(folders) == JOBS and threads == {int(share)}
