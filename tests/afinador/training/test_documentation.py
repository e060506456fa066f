"""The example of docs/python.md that trains in this process, as it is printed there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


def test_the_example_runs(
    root: Path,
    base_model: Path,
    training_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = re.findall(r"```python\n(.*?)```", (root / "docs" / "python.md").read_text(), re.DOTALL)[3]
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/tiny").symlink_to(base_model)
    Path("train.jsonl").symlink_to(training_file)
    exec(compile(example, "docs/python.md", "exec"), {})
    assert "runs/first/final" in capsys.readouterr().out
    assert Path("runs/first/final/adapter_model.safetensors").is_file()
    assert json.loads(Path("runs/first/spec.json").read_text())["base_model"]["name"] == "tiny", (
        "the link, not its target"
    )
