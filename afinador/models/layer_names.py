"""Names of layers, as ``target_modules`` and ``modules_to_save`` give them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import InvalidRequestError, nearest
from afinador.models.headers import tensor_shapes

ALL_LINEAR = "all-linear"
_HEADS_OF_CLASSES = ("score", "classifier", "pre_classifier")
_HEADS_OF_WORDS = ("lm_head", "cls", "vocab_transform", "vocab_layer_norm", "vocab_projector")
"""What a classifier does not take over from the files of a model that tells words."""
_NEVER_QUANTISED = ("embed_tokens", "wte", "wpe", "lm_head")
"""Embeddings and output layers of the causal architectures: all others of their matrices are held in few bits."""
_Shapes = Mapping[str, tuple[int, ...]]


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


def require_layers_in_folder(
    hyperparameters: Hyperparameters, folder: Path, model: str, *, is_classifier: bool = False
) -> None:
    """Refuse names that no layer of a model can end with, or not what they are named for, by the headers of its files.

    A loaded model may have a beginning of names that its files lack, and a head that shares the embeddings or is drawn
    anew; those pass here.

    Args:
        hyperparameters: With the names.
        folder: The model's.
        model: What errors call it.
        is_classifier: It gets a head of classes, whatever the files hold.

    Raises:
        InvalidRequestError: There is no such layer, it cannot carry an adapter, or it is quantised and was to be
            trained whole.
        UnsupportedModelError: The files are damaged.
        OSError: They cannot be read.
    """
    wanted = named_by(hyperparameters)
    if any(wanted.values()):
        shapes = tensor_shapes(folder)
        made: tuple[str, ...] = ("lm_head",)
        if is_classifier:
            shapes = {name: shape for name, shape in shapes.items() if name.partition(".")[0] not in _HEADS_OF_WORDS}
            made = (*_HEADS_OF_CLASSES, "pooler")
            _require_no_head(wanted["target_modules"], layers_of_tensors(shapes))
        _require(wanted, layers_of_tensors(shapes), model, lambda name, layer: _may_be_same(name, layer, made))
        _require_adaptable(wanted["target_modules"], shapes, model)
        if hyperparameters.quantization_bits:
            _require_unquantised(wanted["modules_to_save"], shapes, hyperparameters.quantization_bits)
        _require_some_adapted(wanted, shapes, model)


def quantised(name: str, bits: int | None) -> InvalidRequestError:
    """Return the refusal to train a layer whole whose weights are held in few bits."""
    return InvalidRequestError(
        f"modules_to_save names {name!r}, which is held in {bits} bits and cannot be trained whole. Leave it out, or use "
        "tuning_method 'lora'.",
        param="hyperparameters.modules_to_save",
    )


def _require_no_head(names: list[str], layers: Collection[str]) -> None:
    """Refuse adapters for the head of a classifier; the pooler of a BERT is part of it where the files have none."""
    for name in names:
        parts = name.split(".")
        is_drawn = "pooler" in parts and not any(_stands_for(name, layer) for layer in layers)
        if is_drawn or not {*parts}.isdisjoint(_HEADS_OF_CLASSES):
            raise InvalidRequestError(
                f"target_modules names {name!r}, which is the head of the classifier: it is always trained whole and saved "
                "with the adapter. Leave it out.",
                param="hyperparameters.target_modules",
            )


def _require_adaptable(names: list[str], shapes: _Shapes, model: str) -> None:
    """Refuse layers that are no matrices: norms, which have a number for each feature, and blocks of layers."""
    matrices = _matrices(shapes)
    for name in names:
        found = [layer for layer in layers_of_tensors(shapes) if _stands_for(name, layer)]
        if not matrices.issuperset(found):
            can_carry = ", ".join(sorted({layer.rpartition(".")[2] for layer in matrices}))
            raise InvalidRequestError(
                f"target_modules names {name!r}, which is no linear layer and no embedding of {model}; only those carry "
                f"adapters. They are: {can_carry}. Leave target_modules out for all linear layers.",
                param="hyperparameters.target_modules",
            )


def _require_some_adapted(wanted: dict[str, list[str]], shapes: _Shapes, model: str) -> None:
    """Refuse blocks to be trained whole that hold every layer which would carry an adapter."""
    layers, targets = layers_of_tensors(shapes), wanted["target_modules"]
    carrying = {
        layer
        for layer in _matrices(shapes)
        if (
            any(_stands_for(name, layer) for name in targets)
            if targets
            else "embed" not in layer and not _is_spared(layer)
        )
    }
    for name in wanted["modules_to_save"]:
        blocks = [f"{layer}." for layer in layers if _stands_for(name, layer)]
        if carrying and all(f"{layer}.".startswith(tuple(blocks)) for layer in carrying):
            raise InvalidRequestError(
                f"modules_to_save names {name!r}, in which all layers of {model} lie that would carry an adapter: trained whole "
                "they carry none. Name single layers, such as lm_head, or use tuning_method 'full' to train all of it.",
                param="hyperparameters.modules_to_save",
            )


def _is_spared(layer: str) -> bool:
    return layer.rpartition(".")[2] in _NEVER_QUANTISED


def _require_unquantised(names: list[str], shapes: _Shapes, bits: int) -> None:
    held = {layer for layer in _matrices(shapes) if not _is_spared(layer)}
    for name in names:
        blocks = [layer for layer in layers_of_tensors(shapes) if _stands_for(name, layer)]
        if any(f"{layer}.".startswith(f"{block}.") for block in blocks for layer in held):
            raise quantised(name, bits)


def _matrices(shapes: _Shapes) -> set[str]:
    """Return the layers whose own weight has rows and columns."""
    return {
        name.removesuffix(".weight") for name, shape in shapes.items() if name.endswith(".weight") and len(shape) > 1
    }


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


def _may_be_same(name: str, layer: str, made: Iterable[str]) -> bool:
    return any(_same(name, each) for each in made) or _stands_for(name, layer)


def _stands_for(name: str, layer: str) -> bool:
    return _same(name, layer) or ("." in layer and name.endswith(f".{layer}"))
