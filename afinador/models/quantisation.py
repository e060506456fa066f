"""Frozen base weights in 4 or 8 bits, by bitsandbytes.

4 bits are NF4 with double quantisation (Dettmers et al. 2023, arXiv:2305.14314), 8 bits LLM.int8 (Dettmers et al. 2022,
arXiv:2208.07339). Linear layers are quantised; embeddings, norms and the layer that makes the logits, tied to the
embeddings or not, stay in the computing precision.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from afinador.errors import UnsupportedModelError
from afinador.models.unpacking import correct_unpacking

Bits = Literal[4, 8]

_NAMES: dict[Bits, str] = {4: "4-bit nf4 with double quantisation", 8: "8-bit LLM.int8"}
_QUANTISED_DTYPES = (torch.uint8, torch.int8)


def form_of_weights(bits: Bits | None, dtype: str) -> str:
    """Return the form of base weights in words; ``dtype`` is torch's name of what is not quantised."""
    return dtype if bits is None else _NAMES[bits]


def loading_arguments(bits: Bits | None, dtype: torch.dtype, device: torch.device | str) -> dict[str, Any]:
    """Return what ``from_pretrained`` needs to quantise; nothing for None.

    Each weight goes to its device before it is quantised, so that a model never lies there, or in the machine's
    memory, as a whole in 16 or 32 bits.

    Args:
        bits: Of the quantised weights.
        dtype: Of all other weights, and of the products with unpacked 4-bit weights.
        device: Where the weights go; the kernels are the device's.
    """
    if bits is None:
        return {}
    if bits == 8:
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        if torch.device(device).type == "cpu":
            correct_unpacking()
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return {"quantization_config": config, "device_map": {"": torch.device(device)}}


def settle_quantised(model: PreTrainedModel, name: str) -> None:
    """Make a model that was loaded in few bits fit for training.

    Raises:
        UnsupportedModelError: Nothing in it was quantised.
    """
    layers: list[Any] = [module for module in model.modules() if is_quantised(module)]
    if not layers:
        raise UnsupportedModelError(
            f"{name} has no linear layers that could be quantised; use tuning_method 'lora' or 'full'.", param="model"
        )
    for layer in layers:
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            # On CPUs with AVX-512 BF16 the first evaluation would pack the weights anew for kernels without gradients,
            # for good: training after it would silently go wrong.
            layer.support_avx512bf16_for_cpu = False
    # Said at every call; the adapters' own sums, the losses and the optimizer are in float32 all the same.
    logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_no_cast_warning)


def _is_no_cast_warning(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("MatMul8bitLt: inputs will be cast from")


def is_quantised(module: nn.Module) -> bool:
    """Return whether a layer's own weight is held in few bits."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dtype in _QUANTISED_DTYPES


def misshapen_layers(model: nn.Module) -> list[str]:
    """Return the names of quantised weights of another shape than their layer, which transformers does not notice."""
    return [
        f"{name}.weight"
        for name, layer in model.named_modules()
        if is_quantised(layer) and _stored_shape(layer.weight) != (layer.out_features, layer.in_features)
    ]


def _stored_shape(weight: Any) -> tuple[int, ...]:
    """Return the shape of a weight as it was before it was packed, which 4 bits do to it."""
    return tuple(weight.quant_state.shape if weight.dtype == torch.uint8 else weight.shape)
