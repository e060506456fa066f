"""Names of layers, as ``target_modules`` and ``modules_to_save`` give them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import InvalidRequestError, nearest
from afinador.models.headers import weight_map

ALL_LINEAR = "all-linear"
_MADE_BY_LOADING = ("lm_head", "score", "classifier", "pre_classifier", "pooler")
"""Layers that a model may have and its files need not: heads that share the embeddings or are drawn anew."""


def named_by(hyperparameters: Hyperparameters) -> dict[str, list[str]]:
    """Return the layers that hyperparameters name, by the hyperparameter; ``all-linear`` names none."""
    targets = hyperparameters.target_modules
    return {
        "target_modules": [] if targets in (None, ALL_LINEAR) else [targets] if isinstance(targets, str) else targets,
        "modules_to_save": hyperparameters.modules_to_save or [],
    }


def layers_of_tensors(tensors: Iterable[str]) -> set[str]:
    """Return the full names of the layers that a model has whose files hold these tensors."""
    layers: set[str] = set()
    for name in tensors:
        parts = name.split(".")[:-1]
        layers.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return layers


def require_layers(wanted: dict[str, list[str]], layers: Collection[str], model: str) -> None:
    """Refuse names that no layer ends with.

    Args:
        wanted: As ``named_by`` returns them.
        layers: Full names of all layers.
        model: What errors call it.

    Raises:
        InvalidRequestError: There is no such layer; names the nearest.
    """
    _require(wanted, layers, model, _same)


def require_layers_in_folder(hyperparameters: Hyperparameters, folder: Path, model: str) -> None:
    """Refuse names that no layer of a model can end with, by the headers of its files.

    A loaded model may have a beginning of names that its files lack, and some layers more; those pass here.

    Raises:
        InvalidRequestError: There is no such layer; names the nearest.
        UnsupportedModelError: The files are damaged.
        OSError: They cannot be read.
    """
    wanted = named_by(hyperparameters)
    if any(wanted.values()):
        _require(wanted, layers_of_tensors(weight_map(folder)), model, _may_be_same)


def _require(
    wanted: dict[str, list[str]], layers: Collection[str], model: str, is_same: Callable[[str, str], bool]
) -> None:
    last_parts = sorted({part for part in (name.rpartition(".")[2] for name in layers) if part and not part.isdigit()})
    for param, names in wanted.items():
        for name in names:
            if not any(is_same(name, layer) for layer in layers):
                raise InvalidRequestError(
                    f"{param} names {name!r}, which {model} does not have.{nearest(name, last_parts)} Its layers are: "
                    f"{', '.join(last_parts)}.",
                    param=f"hyperparameters.{param}",
                )


def _same(name: str, layer: str) -> bool:
    return layer == name or layer.endswith(f".{name}")


def _may_be_same(name: str, layer: str) -> bool:
    made_by_loading = any(_same(name, made) for made in _MADE_BY_LOADING)
    return made_by_loading or _same(name, layer) or ("." in layer and name.endswith(f".{layer}"))
