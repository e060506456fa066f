"""The checkpoint that a run starts from, on its way from the storage to training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afinador.config.spec import CheckpointReference, StartingPoint
from afinador.errors import NotFoundError
from afinador.settings import Settings
from afinador.storage import sha256_of
from afinador.training.checkpoints import CheckpointDamagedError, seal, verify
from registry.memory import Memory
from tasks.starting_point import local_start


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.open(Settings(home=tmp_path / "home"))


@pytest.fixture
def start(memory: Memory, tmp_path: Path) -> StartingPoint:
    """Two checkpoints in the storage."""
    references = []
    for step in (3, 5):
        folder = tmp_path / f"made-{step}"
        (folder / "training_state").mkdir(parents=True)
        for name in ("adapter_model.safetensors", "training_state/state.json"):
            (folder / name).write_text(f"{name} of step {step}")
        seal(folder)
        key = f"org_1/jobs/ftjob-1/checkpoints/step-{step:06d}"
        memory.storage.put_folder(folder, key)
        told: dict[str, Any] = {"name": f"ft:x:ckpt-step-{step}", "job_id": "ftjob-1", "step": step, "path": key}
        sha256 = sha256_of(folder / "manifest.json")
        references.append(CheckpointReference(**told, manifest_sha256=sha256, bytes=verify(folder)))
    return StartingPoint(**references[1].model_dump(), state="whole", best=references[0])


def stored(memory: Memory, reference: CheckpointReference, name: str) -> Path:
    path = memory.storage.local_path(f"{reference.path}/{name}")
    assert path is not None
    return path


def test_both_are_fetched_once_and_a_cut_copy_again(memory: Memory, start: StartingPoint, tmp_path: Path) -> None:
    run = tmp_path / "run"
    local = local_start(memory, run, start)
    assert local.best is not None and start.path.startswith("org_1/"), "what is stored stays as it is"
    assert [local.path, local.best.path] == [str(run / "start" / name) for name in ("step-000005", "step-000003")]
    state = Path(local.path) / "training_state" / "state.json"
    assert state.read_text() == "training_state/state.json of step 5"
    fetched_at = state.stat().st_mtime_ns
    memory.storage.delete(start.path)
    assert local_start(memory, run, start) == local and state.stat().st_mtime_ns == fetched_at
    (Path(local.best.path) / "adapter_model.safetensors").write_text("cut")
    assert local_start(memory, run, start) == local
    assert verify(Path(local.best.path)) == start.bytes


def test_what_is_not_what_was_saved_is_named(memory: Memory, start: StartingPoint, tmp_path: Path) -> None:
    weights = stored(memory, start, "adapter_model.safetensors")
    weights.write_text(weights.read_text().replace("5", "6"))
    with pytest.raises(
        CheckpointDamagedError, match=r"ft:x:ckpt-step-5 is damaged .* adapter_model.safetensors"
    ) as caught:
        local_start(memory, tmp_path / "run", start)
    assert caught.value.param == "from_checkpoint"
    manifest = stored(memory, start, "manifest.json")
    manifest.write_text(manifest.read_text().replace("\n", "\n "))
    weights.write_text(weights.read_text().replace("6", "5"))
    with pytest.raises(CheckpointDamagedError, match="its manifest is not the one"):
        local_start(memory, tmp_path / "run", start)
    assert not list((tmp_path / "run" / "start").glob("step-*"))


def test_what_is_gone_is_said(memory: Memory, start: StartingPoint, tmp_path: Path) -> None:
    assert start.best is not None
    memory.storage.delete(start.best.path)
    with pytest.raises(NotFoundError, match="ft:x:ckpt-step-3 are gone from the storage"):
        local_start(memory, tmp_path / "run", start)
