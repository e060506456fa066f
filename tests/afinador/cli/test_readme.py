"""The README's example of classes, as it is printed there: what the service makes of it is trained here."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.training import FineTuner
from afinador.training.run_dir import RunDir
from registry import jobs
from registry.ledger.tables import Job

Run = Callable[..., Any]


def command(readme: str, holding: str) -> list[str]:
    """Return the words of the command in the README that holds a text, without ``afinador``."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) for line in joined(block)]
    (found,) = [line for line in lines if holding in line]
    program, *words = shlex.split(found)
    assert program == "afinador"
    return words


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def test_the_example_of_classes_learns_its_classes(
    online: Run,
    service: Any,
    root: Path,
    tmp_path: Path,
    in_background: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert online("delete", "base-model", service.base_model).code == 0
    monkeypatch.chdir(root)
    ran = online(*command(readme, "create base-model tiny"))
    assert ran.code == 0, ran.err

    def work() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with service.memory.database.reading() as session:
                found = jobs.list_page(session, service.organization_id, status="queued")[0]
            if found:
                service.end_job(found[0].id, service.run_job(found[0].id))
                return
            time.sleep(0.05)

    in_background(work)
    ran = online(*command(readme, "examples/data/requests.csv"))
    assert ran.code == 0, ran.err
    (job,) = json.loads(online("list", "job", "--json").out)["data"]
    assert (job["status"], job["task"], job["output_model"]) == ("succeeded", "sequence_classification", "requests")

    with service.memory.database.reading() as session:
        spec = FineTuningSpec.model_validate(session.get_one(Job, job["id"]).spec)
    stored = str(service.memory.storage.local_path(spec.training_file.path))
    # Its first four examples would be told apart by chance in one of nine runs.
    spec = spec.model_copy(update={"training_file": spec.training_file.model_copy(update={"path": stored}), "seed": 1})
    run_dir = RunDir(tmp_path / "run")
    result = FineTuner(spec, run_dir).run()
    classes = json.loads((result.model_path / "base" / "config.json").read_text())["id2label"]
    assert list(classes.values()) == ["complaint", "order", "question"]
    rows = [json.loads(line) for line in (run_dir.path / "metrics.jsonl").read_text().splitlines()]
    assert (rows[-1]["step"], rows[-1]["epoch"]) == (90, 10.0)
    assert rows[0]["train_accuracy"] < 0.6 and rows[-1]["train_accuracy"] > 0.95
