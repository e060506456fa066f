"""What lies beside published weights, for people and for programs: the card, the lineage, the base model's terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from afinador.config.spec import FineTuningSpec
from afinador.models.model_cards import model_card
from afinador.models.publishing import pass_on_license
from afinador.training.data_sets import Data
from afinador.training.run_dir import write_atomically


def describe(
    folder: Path, spec: FineTuningSpec, data: Data, evaluation: dict[str, Any], *, step: int | None = None
) -> None:
    """Complete a folder of weights to what is published: ``README.md``, ``afinador.json``, licences.

    Args:
        folder: With the weights.
        spec: Of the run.
        data: What was learnt from.
        evaluation: As in ``evaluation.json``.
        step: Of a checkpoint: optimizer steps done.
    """
    lineage = spec.model_dump(mode="json", include=_LINEAGE, exclude=_PLACES) | {
        "template": data.template,
        "prompt_form": data.form.to_json(),
    }
    if step is not None:
        lineage["checkpoint"] = {"step": step, "name": spec.output.alias_of_step(step)}
    pass_on_license(Path(spec.base_model.path), folder)
    write_atomically(folder / "README.md", model_card(spec, evaluation, data.form, _saved_whole(folder), step=step))
    write_atomically(folder / "afinador.json", json.dumps(lineage, ensure_ascii=False, indent=1))


def describe_checkpoint(folder: Path, spec: FineTuningSpec, data: Data, state: dict[str, Any]) -> None:
    """Do so with a checkpoint; ``state`` is what its ``trainer_state.json`` says."""
    loss = state["valid_loss"]
    measured = "" if loss is None else f" The validation loss after its step was {loss:.4f}."
    evaluation = {"skipped": f"a checkpoint is not held against its base model.{measured}"}
    describe(folder, spec, data, evaluation, step=state["step"])


def _saved_whole(folder: Path) -> list[str]:
    """Return the layers that an adapter holds whole, by its own configuration."""
    configuration = folder / "adapter_config.json"
    if not configuration.is_file():
        return []
    return json.loads(configuration.read_text(encoding="utf-8")).get("modules_to_save") or []


_PLACES: dict[str, Any] = {
    **{name: {"path"} for name in ("base_model", "training_file", "validation_file")},
    "start_from": {"path": True, "best": {"path"}},
}
"""Folders of this machine mean nothing elsewhere."""
_LINEAGE = {
    "job_id", "job_name", "task", "tuning_method", "base_model", "training_file", "validation_file",
    "hyperparameters", "seed", "start_from", "code_version",
}  # fmt: skip
