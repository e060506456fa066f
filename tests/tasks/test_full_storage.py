"""A storage whose disk is full in the middle of a file: nothing half is left, and what must wait goes on afterwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from afinador.errors import InsufficientStorageError
from afinador.training import run, stopping
from afinador.training.checkpoints import seal, verify
from afinador.training.run_dir import Control
from registry import jobs
from registry.job_life import checkpoints, events
from registry.ledger.tables import Job
from registry.memory import Memory
from tasks import ending, following, trainer
from tasks.attempt import Attempt, claim
from tasks.following import Follower
from tests.tasks.conftest import Create


def claimed(job: Job) -> Attempt:
    attempt = claim(job.id, "")
    assert attempt is not None
    return attempt


class NoCurves:
    """Stands for what is sent to MLflow, which is not asked here and takes seconds to open."""

    def __init__(self, attempt: Attempt) -> None:
        self.last: dict[str, float] = {}

    def add(self, rows: list[object]) -> None:
        """Keep nothing."""


def full_after(fits_bytes: int) -> Callable[[Path, Path], None]:
    """Return a way to copy that writes so many bytes in all and then finds no space."""
    left = fits_bytes

    def copy(source: Path, target: Path) -> None:
        nonlocal left
        content = source.read_bytes()
        target.write_bytes(content[:left])
        if len(content) > left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        left -= len(content)

    return copy


def test_a_checkpoint_that_does_not_fit_pauses_the_job_and_is_copied_when_there_is_space(
    memory: Memory, create: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "Curves", NoCurves)
    job = create(output_model="sums")
    first = claimed(job)
    folder = first.run.path / "checkpoints" / "step-000004"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"a" * 1000)
    (folder / "trainer_state.json").write_text(json.dumps({"step": 4}))
    seal(folder)
    first.run.log_event("checkpoint", "info", "Saved checkpoint 4.", step=4, metrics={"train_loss": 2.5})
    prefix = f"{job.organization_id}/jobs/{job.id}/checkpoints"

    follower = Follower(first)
    for fits_bytes in (0, 999, 1005):
        with monkeypatch.context() as patched, pytest.raises(InsufficientStorageError, match="disk is full") as caught:
            patched.setattr(shutil, "copyfile", full_after(fits_bytes))
            follower.forward({}, in_prefect=False)
        assert memory.storage.list(prefix) == [], f"after {fits_bytes} bytes"
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full_after(0))
        assert ending.waits_for_space(first, caught.value) == "paused", "although the disk is full still"

    with memory.database.session() as session:
        assert checkpoints.newest_first(session, job.id) == []
        jobs.request_resume(session, job.organization_id, job.id)
    second = claimed(job)
    Follower(second).forward({}, in_prefect=False)
    with memory.database.reading() as session:
        (kept,) = checkpoints.newest_first(session, job.id)
        messages = [event.message for event in events.list_page(session, job.organization_id, job.id, limit=100)[0]]
    stored = memory.storage.local_path(kept.storage_key)
    assert stored is not None and (kept.step_number, kept.bytes) == (4, verify(stored))
    assert sum(message == "Saved checkpoint 4." for message in messages) == 1
    (said,) = [message for message in messages if "is paused and keeps its last good checkpoint" in message]
    assert str(memory.settings.home) not in said


def test_a_full_disk_is_a_reason_to_wait_wherever_it_is_met_and_another_fault_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = ending.explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/home/runs/ftjob-1/final/MLmodel"))
    assert isinstance(full, InsufficientStorageError) and "/srv" not in full.message
    assert not caplog.records
    other = ending.explained(OSError(errno.EIO, os.strerror(errno.EIO)))
    assert other.code == "internal_error" and "nobody foresaw" in caplog.text


def test_training_that_cannot_even_write_its_reason_down_waits_for_space(
    memory: Memory, create: Create, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "_send_output_to", lambda *_: None)
    monkeypatch.setattr(run, "_fine_tune", full)
    assert run.main([str(tmp_path / "run")]) == stopping.EXIT_DISK_FULL
    attempt = claimed(create())
    with pytest.raises(InsufficientStorageError, match="could not write down how it ended"):
        trainer.require_success(attempt, stopping.EXIT_DISK_FULL)
    with monkeypatch.context() as patched:
        patched.setattr(type(attempt.run), "write_control", full)
        attempt._pass_on("pause")
    assert attempt.request is None, "it is told in the next round"
    attempt._pass_on("pause")
    assert attempt.request == "pause" and attempt.run.read_control() == Control(attempt=attempt.number, request="pause")
