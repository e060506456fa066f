"""The run directory at the beginning of an attempt: as the run was left, on whichever machine that was.

The ledger's cursors count the bytes of one directory's journals, known by a number in ``directory.json``. In any other
one (removed meanwhile, or of another host) the run is put together again from ledger and storage.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path

from afinador.storage import require_free_space
from afinador.training.checkpoints import CheckpointDamagedError, checkpoint_name, complete_checkpoints, verify
from afinador.training.run_dir import RunDir
from registry import checkpoints, events, job_logs, jobs
from registry.tables import Checkpoint
from tasks import trainer
from tasks.attempt import Attempt
from tasks.checkpoint_files import fetch_files

_DIRECTORY = "directory.json"
_NOT_OF_THE_RUN = ("control.json", "data", "start", "lock", "proofs", "log.txt", "resources.jsonl")
"""What stays in the directory of another host: inputs, which are checked anyhow, and what is replaced."""


def prepare(attempt: Attempt) -> None:
    """Let training go on here exactly where the run was left; where it was left here, nothing happens.

    Rows of the journals come from the ledger, so that none is logged again under another number; log and resources,
    as far as they were kept, and the newest intact checkpoint from the storage. One that is damaged there is forgotten,
    and an event tells it.

    Raises:
        StorageError: The storage does not answer.
        InsufficientStorageError: The disk is too full.
        StopRequestedError: The job was asked to stop while the trainer of an earlier attempt was waited for.
    """
    cursors = dict(attempt.job().cursors or {})
    if not _is_followed(attempt.run, cursors):
        trainer.outlive_former(attempt)
        _clear(attempt.run)
        cursors = _restore_journals(attempt)
    if "directory" not in cursors:
        cursors["directory"] = secrets.randbits(48)
        with attempt.memory.database.session() as session:
            jobs.set_fields(session, attempt.job_id, attempt.number, cursors=cursors)
        attempt.run.write_document(_DIRECTORY, {"number": cursors["directory"]})
    _restore_checkpoint(attempt)


def _is_followed(run: RunDir, cursors: dict[str, int]) -> bool:
    """Tell whether the cursors are those of this directory's journals."""
    number = (run.read_document(_DIRECTORY) or {}).get("number")
    return number == cursors.get("directory") and all(
        _size(run.path / f"{name}.jsonl") >= cursors.get(name, 0) for name in ("events", "metrics")
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _clear(run: RunDir) -> None:
    """Remove what an earlier attempt has left here: others have gone on since, elsewhere."""
    run.path.mkdir(parents=True, exist_ok=True)
    for path in run.path.iterdir():
        if path.name in _NOT_OF_THE_RUN:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _restore_journals(attempt: Attempt) -> dict[str, int]:
    """Write the journals anew, and return the cursors behind them."""
    organization_id = attempt.spec.organization_id
    with attempt.memory.database.reading() as session:
        event_rows = events.journalled(session, organization_id, attempt.job_id)
        metric_rows = events.metrics(session, organization_id, attempt.job_id)
    job_logs.restore(attempt.memory, organization_id, attempt.job_id)
    return attempt.run.restore_journals(event_rows, metric_rows)


def _restore_checkpoint(attempt: Attempt) -> None:
    """Fetch the newest checkpoint of the storage, unless one as new is here."""
    with attempt.memory.database.reading() as session:
        kept = checkpoints.newest_first(session, attempt.job_id)
    here = [folder.name for folder in complete_checkpoints(attempt.run)]
    newer = [row for row in kept if not here or checkpoint_name(row.step_number) > here[-1]]
    if newer:
        trainer.outlive_former(attempt)
    for row in newer:
        if _is_fetched(attempt, row) and _is_best_fetched(attempt, row, kept):
            attempt.say(f"Checkpoint {row.step_number} was fetched from the storage: it was no longer on this machine.")
            return
    if newer and not here:
        attempt.say("No checkpoint in the storage is whole; training begins anew.", level="warn")


def _is_best_fetched(attempt: Attempt, row: Checkpoint, kept: list[Checkpoint]) -> bool:
    """Bring along the checkpoint that early stopping would publish, if it is another one, and tell whether it is there."""
    if attempt.spec.hyperparameters.early_stopping_patience is None:
        return True
    state = _folder_of(attempt, row) / "trainer_state.json"
    best_step = json.loads(state.read_text(encoding="utf-8"))["best_step"]
    best = next((other for other in kept if other.step_number == best_step), row)
    if _folder_of(attempt, best).is_dir() or _is_fetched(attempt, best):
        return True
    shutil.rmtree(_folder_of(attempt, row))  # of no use without it
    return False


def _is_fetched(attempt: Attempt, row: Checkpoint) -> bool:
    """Fetch a checkpoint; forget one that is not what was saved."""
    target = _folder_of(attempt, row)
    temporary = target.with_name(f".{target.name}.tmp")
    for leftover in (temporary, target):
        shutil.rmtree(leftover, ignore_errors=True)
    require_free_space(target, row.bytes, f"Fetching {target.name}")
    fetch_files(attempt.memory, row.storage_key, temporary)
    try:
        verify(temporary)
    except CheckpointDamagedError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        attempt.say(f"{target.name} is damaged in the storage and forgotten: {error.message}", level="warn")
        with attempt.memory.database.session() as session:
            checkpoints.forget(session, row.id)
        attempt.memory.storage.delete(row.storage_key)
        return False
    temporary.rename(target)
    return True


def _folder_of(attempt: Attempt, row: Checkpoint) -> Path:
    return attempt.run.checkpoints / checkpoint_name(row.step_number)
