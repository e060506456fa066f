"""Two organisations and more jobs than slots. ``crowd.py`` does it with as many as you like."""

from __future__ import annotations

import json
import os

import pytest

from tests.faults.conftest import SLOTS
from tests.faults.crowd import run
from tests.integration.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

JOBS = 4


def test_jobs_of_two_organizations_share_two_slots_and_all_succeed(rough_stack: Stack) -> None:
    seen = run(rough_stack, JOBS, SLOTS)
    assert seen.most_trainers == SLOTS
    results = [rough_stack.home / "runs" / job_id / "result.json" for job_id in seen.started]
    threads = {json.loads(result.read_text())["environment"]["threads"] for result in results}
    share = os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // SLOTS)
    assert len(results) == JOBS and threads == {int(share)}
