"""The run directory at the beginning of an attempt: as the run was left, on whichever machine that was.

The ledger's cursors count the bytes of one directory's journals, known by a number in ``directory.json``. In any other
one (removed meanwhile, or of another host) the run is put together again from ledger and storage. In the same one only a
journal is that is shorter than the ledger knows it, cut when the machine lost power. No row that a checkpoint here has
behind it is lost with its end: journals are on the disk before a checkpoint is.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from afinador.storage import require_free_space
from afinador.training.checkpoints import (
    CheckpointDamagedError,
    checkpoint_name,
    newest_intact,
    step_of,
    trainer_state_of,
    verify,
)
from afinador.training.run_dir import RunDir
from registry import jobs
from registry.job_life import checkpoints, events, job_logs
from registry.ledger.tables import Checkpoint
from tasks import trainer
from tasks.attempt import Attempt
from tasks.checkpoint_files import fetch_files

_DIRECTORY = "directory.json"
_JOURNALS = {"events": events.journalled, "metrics": events.metrics}
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
    if (attempt.run.read_document(_DIRECTORY) or {}).get("number") != cursors.get("directory"):
        trainer.outlive_former(attempt)
        _clear(attempt.run)
        cursors = _restore_journals(attempt, _JOURNALS)
        job_logs.restore(attempt.memory, attempt.spec.organization_id, attempt.job_id)
    elif cut := [name for name in _JOURNALS if _size(attempt.run, name) < cursors.get(name, 0)]:
        trainer.outlive_former(attempt)
        cursors |= _restore_journals(attempt, cut)
        with attempt.memory.database.session() as session:
            jobs.set_fields(session, attempt.job_id, attempt.number, cursors=cursors)
    if "directory" not in cursors:
        cursors["directory"] = secrets.randbits(48)
        with attempt.memory.database.session() as session:
            jobs.set_fields(session, attempt.job_id, attempt.number, cursors=cursors)
        attempt.run.write_document(_DIRECTORY, {"number": cursors["directory"]})
    _restore_checkpoint(attempt)


def is_kept(attempt: Attempt) -> bool:
    """Tell whether this is the directory that the ledger's cursors belong to, and training was to be started in it."""
    number = (attempt.run.read_document(_DIRECTORY) or {}).get("number")
    return number is not None and number == (attempt.job().cursors or {}).get("directory")


def _size(run: RunDir, journal: str) -> int:
    path = run.path / f"{journal}.jsonl"
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


def _restore_journals(attempt: Attempt, names: Iterable[str]) -> dict[str, int]:
    """Write journals anew, and return the cursors behind them."""
    with attempt.memory.database.reading() as session:
        rows = {name: _JOURNALS[name](session, attempt.spec.organization_id, attempt.job_id) for name in names}
    return attempt.run.restore_journals(**rows)


def _restore_checkpoint(attempt: Attempt) -> None:
    """Fetch the newest checkpoint of the storage, unless an intact one as new is here."""
    with attempt.memory.database.reading() as session:
        kept = checkpoints.newest_first(session, attempt.job_id)
    if not kept:
        return
    trainer.outlive_former(attempt)
    here = newest_intact(attempt.run)
    for row in kept:
        if here is not None and row.step_number <= step_of(here):
            break
        if _is_fetched(attempt, row):
            if _is_best_here(attempt, _folder_of(attempt, row), kept):
                attempt.say(
                    f"Checkpoint {row.step_number} was fetched from the storage: it was no longer on this machine."
                )
                return
            shutil.rmtree(_folder_of(attempt, row))  # of no use without it
    if here is not None:
        _is_best_here(attempt, here, kept)
    else:
        attempt.say("No checkpoint in the storage is whole; training begins anew.", level="warn")


def _is_best_here(attempt: Attempt, folder: Path, kept: list[Checkpoint]) -> bool:
    """Bring along the checkpoint that early stopping would publish, if it is another one, and tell whether it is there."""
    best_step = trainer_state_of(folder).get("best_step")
    if attempt.spec.hyperparameters.early_stopping_patience is None or best_step is None:
        return True
    best = attempt.run.checkpoints / checkpoint_name(best_step)
    if best == folder or _is_intact(best):
        return True
    for row in kept:
        if row.step_number == best_step:
            return _is_fetched(attempt, row)
    start = attempt.spec.start_from  # the training may have been the best before this job went on with it
    before = (start, start.best) if start is not None and start.state == "whole" else ()
    return any(reference is not None and reference.step == best_step for reference in before)


def _is_intact(folder: Path) -> bool:
    try:
        verify(folder)
    except CheckpointDamagedError:
        return False
    return True


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
