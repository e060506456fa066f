"""What is published: weights as PEFT or transformers read them, and the tokenizer. ``model_cards`` describes them.

Never optimizer states, never a pickle.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from afinador.config.spec import BaseModelReference
from afinador.models.class_names import BASE_FOLDER
from afinador.models.classification import is_classifier
from afinador.models.families import pretrained_model_of
from afinador.models.licenses import terms_of
from afinador.storage import require_free_space


def write_weights(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    trained: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a PEFT directory for an adapted model, else a transformers directory, with the tokenizer beside.

    An adapter of a classifier gets a folder with the configuration that its base is to be loaded with: it knows the
    classes, which the base model's own does not.

    Args:
        model: As trained; of an adapted one only the adapters are written.
        tokenizer: With its chat template, if it has one.
        folder: Made if it is not there.
        dtype: Of the weights in the files; by default the one that they have in memory.
        trained: Weights by name, in the place of those that the model has now.

    Raises:
        InsufficientStorageError: The disk would have less than the margin left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = model.parameters() if not is_adapted(model) else (p for p in model.parameters() if p.requires_grad)
    require_free_space(folder, sum(part.numel() * part.element_size() for part in parts), f"Writing {folder.name}")
    weights = _weights(model, trained or {}, dtype)
    cast(PreTrainedModel, model).save_pretrained(str(folder), safe_serialization=True, state_dict=weights)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's own card says nothing about this run
    if is_adapted(model) and is_classifier(model):
        pretrained_model_of(model).config.save_pretrained(str(folder / BASE_FOLDER))
    if dtype is not None:
        _change_config(folder / "config.json", dtype=str(dtype).removeprefix("torch."))
    tokenizer.save_pretrained(str(folder))


def _weights(model: nn.Module, trained: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return the weights to be written by name; names of one tensor keep sharing one."""
    held = dict(model.named_parameters(remove_duplicate=False)) if is_adapted(model) else model.state_dict()
    replaced = {p.data_ptr(): trained[name] for name, p in model.named_parameters() if name in trained}
    parameters = {p.data_ptr() for p in model.parameters() if p.is_floating_point()}
    written: dict[int, Tensor] = {}
    for tensor in held.values():
        place = tensor.data_ptr()
        new = replaced.get(place, tensor).detach()
        written.setdefault(place, new.to(dtype) if dtype is not None and place in parameters else new)
    return {name: written[tensor.data_ptr()] for name, tensor in held.items()}


def name_base_model(folder: Path, base: BaseModelReference) -> None:
    """Write into an adapter's configuration what others call its base, in the place of a folder of this machine.

    ``PeftModel.from_pretrained(base, folder)`` needs neither.
    """
    _change_config(folder / "adapter_config.json", base_model_name_or_path=base.public_name, revision=base.revision)


def _change_config(path: Path, **changed: str | None) -> None:
    config = json.loads(path.read_text(encoding="utf-8")) | changed
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def pass_on_license(base_folder: Path, folder: Path) -> None:
    """Copy the texts of the base model's licence: most licences ask for that of whoever passes on what came of it."""
    for file in terms_of(base_folder):
        shutil.copyfile(file, folder / file.name)


def is_adapted(model: nn.Module) -> bool:
    """Return whether a model carries adapters."""
    return hasattr(model, "peft_config")


def is_adapter_parameter(model: nn.Module, name: str) -> bool:
    """Return whether adapters have put this parameter beside those of the base; copies of whole layers count too."""
    return is_adapted(model) and any(part in name for part in ("lora_", "modules_to_save."))


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Change the precision of all weights in place; buffers such as rotary frequencies keep theirs."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
