"""The whole state of a training between two steps: taken, written down and put back, to the bit.

Trained weights in the form that training holds them, the optimizer, the schedule, all random generators, and the order
of the data. Frozen weights are named by the hash of their base model, never copied. Tensors go to safetensors, the
rest to JSON; there is no pickle. ``docs/training.md`` lists the files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import peft
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from afinador.errors import TrainingError
from afinador.training.checkpoints import STATE_FOLDER, state_of
from afinador.training.run_dir import write_atomically

FORMAT = 1
"""Raised when a reader of today could not read what is written."""
_BETWEEN = "/"


@dataclass(frozen=True)
class TrainingState:
    """What a training process must know to make the next step as if nothing had happened.

    Attributes:
        weights: Trained parameters and floating-point buffers, by their names in the model.
        optimizer: Tensors of the optimizer, by ``number of the parameter/key``.
        random: ``torch`` and ``cuda:0``…, the states of torch's generators on this rank.
        order: Examples of the current epoch in the order of training, int64.
        document: All that is no tensor.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    order: Tensor
    document: dict[str, Any]

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.nbytes for tensor in (*self.weights.values(), *self.optimizer.values(), self.order))

    def write(self, folder: Path) -> None:
        """Write all files of the state into ``folder/training_state``."""
        place = folder / STATE_FOLDER
        place.mkdir(parents=True, exist_ok=True)
        save_file(self.weights, place / "weights.safetensors")
        save_file(self.optimizer, place / "optimizer.safetensors")
        save_file(self.random, place / "random-00000.safetensors")
        save_file({"order": self.order}, place / "data.safetensors")
        write_atomically(place / "state.json", json.dumps(self.document, indent=1))

    @classmethod
    def read(cls, folder: Path) -> TrainingState:
        """Read what ``write`` has written.

        Raises:
            TrainingError: The checkpoint holds no training state, or one of a newer form.
        """
        place = folder / STATE_FOLDER
        document = _document_of(folder)
        return cls(
            weights=load_file(place / "weights.safetensors"),
            optimizer=load_file(place / "optimizer.safetensors"),
            random=load_file(place / "random-00000.safetensors"),
            order=load_file(place / "data.safetensors")["order"],
            document=document,
        )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the trained weights of a checkpoint alone; errors are those of ``TrainingState.read``."""
    _document_of(folder)
    return load_file(folder / STATE_FOLDER / "weights.safetensors")


def _document_of(folder: Path) -> dict[str, Any]:
    document = state_of(folder)
    if document["format"] > FORMAT:
        raise TrainingError(
            f"The checkpoint {folder.name} was written by a newer version of Afinador (its form is "
            f"{document['format']}, this version reads {FORMAT}). Update this machine.",
            code="checkpoint_of_newer_version",
        )
    return document


def bytes_of_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Return how much memory ``take_state`` needs for its copies."""
    tensors = (*_trained(model).values(), *_flat(optimizer.state_dict()["state"], tensors=True).values())
    return sum(tensor.nbytes for tensor in tensors)


def take_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    order: list[int],
    document: dict[str, Any],
    *,
    copy: bool = True,
) -> TrainingState:
    """Take the state as it is between two steps.

    Args:
        model: With its trained parameters.
        optimizer: After its step.
        schedule: After its step.
        order: See ``TrainingState``.
        document: What else is to be kept, JSON.
        copy: Copy tensors, so that training may go on while they are written; False only where it waits for that.
    """
    taken = optimizer.state_dict()
    generators, words = take_random()
    return TrainingState(
        weights={name: _taken(tensor, copy=copy) for name, tensor in _trained(model).items()},
        optimizer={name: _taken(tensor, copy=copy) for name, tensor in _flat(taken["state"], tensors=True).items()},
        random=generators,
        order=torch.tensor(order, dtype=torch.int64),
        document={
            "format": FORMAT,
            "optimizer": {"state": _flat(taken["state"], tensors=False), "param_groups": taken["param_groups"]},
            "schedule": schedule.state_dict(),
            "random": words,
            **document,
        },
    )


def restore_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Put trained weights back into a model.

    Raises:
        TrainingError: They are those of another model or method.
    """
    mine = _trained(model)
    _require_same_shapes(weights, mine, "checkpoint")
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(weights[name])


def restore_adapter(folder: Path, model: nn.Module) -> None:
    """Put the weights of a published adapter into a model that carries fresh ones.

    Raises:
        TrainingError: They are those of another model or method.
    """
    weights = load_file(folder / "adapter_model.safetensors")
    _require_same_shapes(weights, peft.get_peft_model_state_dict(model), "adapter")
    peft.set_peft_model_state_dict(model, weights)


def _require_same_shapes(weights: dict[str, Tensor], mine: dict[str, Tensor], kind: str) -> None:
    different = sorted(
        name
        for name in mine.keys() | weights.keys()
        if name not in mine or name not in weights or mine[name].shape != weights[name].shape
    )
    if different:
        raise TrainingError(
            f"The {kind} does not fit the model: {len(different)} trained weights differ in name or shape, such as "
            f"{different[0]!r}. It was made from another base model, or with other hyperparameters.",
            code=f"{kind}_does_not_fit",
        )


def restore_optimizer(state: TrainingState, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> None:
    """Put the states of optimizer and schedule back."""
    kept = state.document["optimizer"]
    now = optimizer.state_dict()["param_groups"]
    groups = [
        {key: tuple(value) if isinstance(old.get(key), tuple) else value for key, value in group.items()}
        for group, old in zip(kept["param_groups"], now, strict=True)
    ]
    optimizer.load_state_dict({"state": _nested({**kept["state"], **state.optimizer}), "param_groups": groups})
    schedule.load_state_dict(dict(state.document["schedule"]))


def take_random() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all random generators: torch's as tensors, those of Python and NumPy as JSON."""
    numpy_state: Any = numpy.random.get_state(legacy=False)
    numpy_state["state"]["key"] = numpy_state["state"]["key"].tolist()
    devices = {f"cuda:{number}": state for number, state in enumerate(_cuda_states())}
    return {"torch": torch.get_rng_state(), **devices}, {"python": random.getstate(), "numpy": numpy_state}


def put_random(generators: dict[str, Tensor], words: dict[str, Any]) -> None:
    """Put the states of all random generators back; the last thing before the next step."""
    version, python, gauss = words["python"]
    random.setstate((version, tuple(python), gauss))
    kept = words["numpy"]
    key = numpy.array(kept["state"]["key"], dtype=numpy.uint32)
    numpy.random.set_state({**kept, "state": {**kept["state"], "key": key}})
    torch.set_rng_state(generators["torch"])
    for number in range(len(_cuda_states())):
        if f"cuda:{number}" in generators:
            torch.cuda.set_rng_state(generators[f"cuda:{number}"], number)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: trained parameters, and buffers, which some position embeddings adapt."""
    trained: dict[str, Tensor] = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
    return trained | {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def _taken(tensor: Tensor, *, copy: bool) -> Tensor:
    return tensor.detach().to("cpu", copy=copy).contiguous()


def _cuda_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _flat(state: dict[Any, Any], *, tensors: bool) -> dict[str, Any]:
    """Return the entries that are tensors, or all others, of a nested state under joined names."""
    return {_BETWEEN.join(path): value for path, value in _entries(state) if isinstance(value, Tensor) is tensors}


def _entries(state: dict[Any, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _entries(value, *path, str(key))
        else:
            yield (*path, str(key)), value


def _nested(flat: dict[str, Any]) -> dict[int, dict[str, Any]]:
    nested: dict[int, dict[str, Any]] = {}
    for name, value in flat.items():
        number, *path, key = name.split(_BETWEEN)
        place = nested.setdefault(int(number), {})
        for part in path:
            place = place.setdefault(part, {})
        place[key] = value
    return nested
