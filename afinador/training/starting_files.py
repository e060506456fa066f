"""A checkpoint or adapter in a local folder that a run starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from afinador.config.spec import CheckpointReference, StartingPoint
from afinador.config.starting import Recipe, Start, other_classes
from afinador.errors import TrainingError
from afinador.models.class_names import class_names_of
from afinador.schemas.jobs import StartState
from afinador.storage import sha256_of
from afinador.training.checkpoints import MANIFEST, checkpoint_name, state_of, verify


def start_from_folder(folder: Path, state: StartState, job_id: str) -> Start:
    """Check a checkpoint and return it with what is known of its training.

    Args:
        folder: Such as ``runs/first/checkpoints/step-000500``; a best one that early stopping needs lies beside it.
        state: What is taken over.
        job_id: Of runs without a service.

    Raises:
        TrainingError: It, or the best one, is incomplete or damaged, or holds weights only.
    """
    reference = _reference(folder, job_id)
    document = state_of(folder)
    if "recipe" not in document:
        raise TrainingError(
            f"The checkpoint {folder.name} was written by an older version of Afinador, which did not keep with it what "
            "its training was; no other run can start from it.",
            code="checkpoint_of_older_version",
        )
    recipe = Recipe.model_validate(document["recipe"])
    best = None
    if state == "whole" and recipe.hyperparameters.early_stopping_patience is not None:
        best_step = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["best_step"]
        if best_step not in (None, reference.step):
            best = _reference(folder.with_name(checkpoint_name(best_step)), job_id)
    return Start(StartingPoint(**reference.model_dump(), state=state, best=best), recipe)


def require_classes(start: StartingPoint, classes: Sequence[str]) -> None:
    """Hold the classes of the data against those of what a new training takes its weights from.

    Weights of as many other classes would fit by their shapes, and mean something else.

    Raises:
        TrainingError: They are others, or in another order.
    """
    had = class_names_of(Path(start.path))
    if had != list(classes):
        raise TrainingError(other_classes(start, classes, had), code=f"{start.kind}_does_not_fit")


def _reference(folder: Path, job_id: str) -> CheckpointReference:
    size_bytes = verify(folder)
    return CheckpointReference(
        name=f"{folder.parent.parent.name}/{folder.name}",
        job_id=job_id,
        step=state_of(folder)["step"],
        path=str(folder),
        manifest_sha256=sha256_of(folder / MANIFEST),
        bytes=size_bytes,
    )
