"""The examples of docs/python.md that need a service, as they are printed there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("place", [0, 1])
def test_the_example_runs(
    place: int,
    root: Path,
    service: Any,
    dataset: Path,
    in_background: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = re.findall(r"```python\n(.*?)```", (root / "docs" / "python.md").read_text(), re.DOTALL)[place]
    dataset.rename(dataset.with_name("train.jsonl"))
    monkeypatch.chdir(dataset.parent)
    monkeypatch.setenv("AFINADOR_BASE_URL", service.url)
    monkeypatch.setenv("AFINADOR_API_KEY", service.key)

    def work() -> None:
        from registry import jobs

        end = time.monotonic() + 20
        while time.monotonic() < end:
            with service.memory.database.reading() as session:
                found = jobs.list_page(session, service.organization_id, status="queued")[0]
            if found:
                service.end_job(found[0].id, service.run_job(found[0].id))
                return
            time.sleep(0.05)

    in_background(work)
    exec(compile(example, "docs/python.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    assert "Step 2: train loss=1.0" in said and "The job has succeeded." in said
