"""Checkpoints of a run: complete or absent.

A checkpoint holds what would be published (weights, tokenizer, card), ``trainer_state.json`` (how far the run was) and
``training_state/`` (all that is needed to go on; see ``training_state.py``).
``manifest.json``, the last file, names all others with size and hash; the folder gets its name only when that is on
the disk. Whoever only reads checkpoints needs no torch for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from afinador.errors import CheckpointDamagedError, TrainingError
from afinador.storage import sha256_of
from afinador.training.run_dir import RunDir, sync, write_atomically

MANIFEST = "manifest.json"
STATE_FOLDER = "training_state"
FIGURES = ("valid_loss", "accuracy", "macro_f1")
"""What is told of a checkpoint from the evaluation after its step."""
METRICS = ("step", "train_loss", *FIGURES, "best_step")
"""What is told of a checkpoint, where it was measured; ``best_step`` is that of the best evaluation so far."""


def checkpoint_name(step: int) -> str:
    """Return the folder name of the checkpoint after an optimizer step; names sort as steps do, up to a million."""
    return f"step-{step:06d}"


def step_of(folder: Path) -> int:
    """Return the optimizer step after which a checkpoint was saved, from the name of its folder."""
    return int(folder.name.removeprefix("step-"))


def is_complete(run_dir: RunDir, step: int) -> bool:
    """Return whether there is a complete checkpoint of a step."""
    return (run_dir.checkpoints / checkpoint_name(step) / MANIFEST).is_file()


def save_checkpoint(run_dir: RunDir, state: dict[str, Any], write: Callable[[Path], None], *, keep: int) -> Path:
    """Write the checkpoint of ``state["step"]``, announce it, and remove the oldest beyond ``keep``.

    The best one stays besides, see ``best_checkpoint``. A complete checkpoint of that step, of an earlier attempt,
    stays as it is and is not announced again.

    Args:
        run_dir: Where it goes and where the event is logged.
        state: As ``Progress.state_at`` gives it: ``step``, ``epoch``, ``train_loss``, ``valid_loss`` and others.
        write: Writes all but ``trainer_state.json`` into the folder that it is given.
        keep: How many checkpoints stay, this one included.

    Raises:
        InsufficientStorageError: The disk is too full.
    """
    folder = run_dir.checkpoints / checkpoint_name(state["step"])
    if is_complete(run_dir, state["step"]):
        return folder
    temporary = run_dir.checkpoints / f".{folder.name}.tmp"
    for leftover in (temporary, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        write_atomically(temporary / "trainer_state.json", json.dumps(state, indent=1))
        seal(temporary)
    except Exception:
        shutil.rmtree(temporary, ignore_errors=True)  # a half is worth nothing, and may fill the disk
        raise
    run_dir.sync_journals()  # what was told before a checkpoint is not told again by whoever goes on from it
    temporary.rename(folder)
    sync(run_dir.checkpoints)
    run_dir.log_event(
        "checkpoint",
        "info",
        f"Checkpoint after step {state['step']} saved.",
        step=state["step"],
        path=f"checkpoints/{folder.name}",
        metrics=metrics_of(state),
    )
    best = best_checkpoint(run_dir, state.get("best_step"))
    for old in complete_checkpoints(run_dir)[:-keep]:
        if old != best:
            _remove(old)
    return folder


def best_checkpoint(run_dir: RunDir, best_step: int | None = None) -> Path | None:
    """Return the folder of the best complete checkpoint, if any was measured.

    It is that of ``best_step``, the step of the best evaluation so far: one that was saved before it was measured holds
    no figures. Without it, it is the one with the least validation loss, the earliest of several.
    """
    if best_step is not None and is_complete(run_dir, best_step):
        return run_dir.checkpoints / checkpoint_name(best_step)
    losses = [(trainer_state_of(folder).get("valid_loss"), folder) for folder in complete_checkpoints(run_dir)]
    measured = [(loss, folder) for loss, folder in losses if loss is not None]
    return min(measured, default=(None, None), key=lambda each: each[0])[1]


def newest_intact(run_dir: RunDir) -> Path | None:
    """Return the newest checkpoint that is what its manifest says; damaged ones are put aside, and an event tells it."""
    for folder in reversed(complete_checkpoints(run_dir)):
        try:
            verify(folder)
        except CheckpointDamagedError as error:
            aside = folder.with_name(f".damaged-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            run_dir.log_event(
                "message", "warn", f"The checkpoint {folder.name} is damaged and put aside: {error.message}"
            )
            continue
        return folder
    return None


def _remove(folder: Path) -> None:
    """Remove a checkpoint, its manifest first: what is half removed is not complete."""
    (folder / MANIFEST).unlink()
    shutil.rmtree(folder)


def complete_checkpoints(run_dir: RunDir) -> list[Path]:
    """Return the folders of all complete checkpoints, oldest first."""
    return sorted((manifest.parent for manifest in run_dir.checkpoints.glob(f"step-*/{MANIFEST}")), key=step_of)


def trainer_state_of(folder: Path) -> dict[str, Any]:
    """Return what ``trainer_state.json`` of a checkpoint says: how far the run was; nothing where it cannot be read."""
    try:
        document: dict[str, Any] = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document


def metrics_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a checkpoint, from its ``trainer_state.json``."""
    return {key: state[key] for key in METRICS if state.get(key) is not None}


def state_of(folder: Path) -> dict[str, Any]:
    """Return what ``training_state/state.json`` of a checkpoint says: all of the state that is no tensor.

    Raises:
        TrainingError: There is none.
    """
    path = folder / STATE_FOLDER / "state.json"
    if not path.is_file():
        raise TrainingError(
            f"The checkpoint {folder.name} holds weights only, no state of the training; no run can go on from it.",
            code="checkpoint_without_state",
        )
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def seal(folder: Path) -> None:
    """Flush every file of a folder to the disk, then write its manifest."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sync(path)
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_atomically(folder / MANIFEST, json.dumps({"files": files}, indent=1))
    for directory in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync(directory)


def verify(folder: Path) -> int:
    """Check a sealed folder against its manifest.

    Returns:
        Bytes of all its files but the manifest.

    Raises:
        CheckpointDamagedError: It is incomplete, has been removed, or a file has another size or hash.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, entry in files.items():
            if (folder / name).stat().st_size != entry["bytes"] or sha256_of(folder / name) != entry["sha256"]:
                raise CheckpointDamagedError(f"{name} in {folder.name} is not the file that its manifest describes.")
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise CheckpointDamagedError(
            f"{folder.name} is incomplete or has been removed: {missing} is not there."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointDamagedError(f"The manifest of {folder.name} cannot be read: {error}.") from error
    return sum(entry["bytes"] for entry in files.values())
