"""Where training begins: at the run's newest checkpoint, else with what its specification starts from."""

from __future__ import annotations

from pathlib import Path

import torch

from afinador.config.spec import FineTuningSpec, StartingPoint
from afinador.training.checkpoints import checkpoint_name, is_complete, newest_intact
from afinador.training.run_dir import RunDir
from afinador.training.setup import Subject
from afinador.training.starting_files import require_classes
from afinador.training.training_state import TrainingState, read_weights, restore_adapter, restore_weights


def state_to_go_on_from(spec: FineTuningSpec, run_dir: RunDir) -> TrainingState | None:
    """Read the newest checkpoint that is whole, else the one whose training goes on; None to begin at the beginning."""
    folder, start = newest_intact(run_dir), spec.start_from
    if folder is None and start is not None and start.state == "whole":
        folder = Path(start.path)
        _tell(start, run_dir)
    if folder is None:
        return None
    state = TrainingState.read(folder)
    torch.set_num_threads(state.document["environment"]["threads"])  # sums over other parts round otherwise
    return state


def take_weights_over(spec: FineTuningSpec, subject: Subject, run_dir: RunDir) -> None:
    """Put the trained weights of the checkpoint or adapter that a new training begins with into the model, if any.

    Raises:
        TrainingError: They are those of another model or method, or of other classes.
    """
    start = spec.start_from
    if start is None or start.state != "weights":
        return
    if subject.classes:
        require_classes(start, subject.classes)
    if start.kind == "adapter":
        restore_adapter(Path(start.path), subject.model)
    else:
        restore_weights(read_weights(Path(start.path)), subject.model)
    _tell(start, run_dir)


def checkpoint_of(spec: FineTuningSpec, run_dir: RunDir, step: int) -> Path:
    """Return the folder of the checkpoint of a step, which may have been made before this run went on."""
    start = spec.start_from
    if start is not None and start.state == "whole" and not is_complete(run_dir, step):
        for reference in filter(None, (start, start.best)):
            if reference.step == step:
                return Path(reference.path)
    return run_dir.checkpoints / checkpoint_name(step)


def _tell(start: StartingPoint, run_dir: RunDir) -> None:
    run_dir.log_event(
        "message",
        "info",
        start.sentence,
        once="start",
        **{f"from_{start.kind}": start.name},
        state=start.state,
        step=start.step,
    )
