"""What is in memory: how many parameters, in which form, and how many bytes they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from afinador.models.publishing import is_adapter_parameter
from afinador.models.quantisation import Bits, form_of_weights

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Weights:
    """The weights of a model in memory.

    Attributes:
        parameters: All of them; a packed 4-bit weight counts as what it stands for, here and below.
        base_parameters: Those of the base model.
        adapter_parameters: Those beside it, copies of whole layers included.
        trainable_parameters: Those that are trained.
        bytes: Of all weights, with the scales and tables of quantised ones.
        base_bytes: Of the base model alone.
        base_bytes_float32: What the base model would take in float32.
        dtype: Of weights that are not quantised, torch's name.
        form: Of the base model's weights, in words.
    """

    parameters: int
    base_parameters: int
    adapter_parameters: int
    trainable_parameters: int
    bytes: int
    base_bytes: int
    base_bytes_float32: int
    dtype: str
    quantization_bits: Bits | None
    form: str

    def to_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        return asdict(self)

    def sentence(self) -> str:
        """Return size, form and weight, and what of it is trained."""
        if self.form == "float32":
            held = f"in float32: {_megabytes(self.base_bytes)} in memory"
        else:
            form = self.form if self.quantization_bits else f"in {self.form}"
            held = f"{form}: {_megabytes(self.base_bytes)} in memory ({_megabytes(self.base_bytes_float32)} in float32)"
        return f"{self.base_parameters:,} parameters, {held}. {self._trained()}"

    def _trained(self) -> str:
        if not self.adapter_parameters:
            return "All of them are trained."
        beyond = self.trainable_parameters - self.adapter_parameters
        of_base = f", and {beyond:,} of the base" if beyond > 0 else ""
        return f"An adapter of {self.adapter_parameters:,} parameters is trained{of_base}."


def described_weights(model: nn.Module, quantization_bits: Bits | None) -> Weights:
    """Count and weigh the weights of a model, with or without adapters."""
    adapter = [parameter for name, parameter in model.named_parameters() if is_adapter_parameter(model, name)]
    base = [parameter for name, parameter in model.named_parameters() if not is_adapter_parameter(model, name)]
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return Weights(
        parameters=count_elements(model.parameters()),
        base_parameters=count_elements(base),
        adapter_parameters=count_elements(adapter),
        trainable_parameters=count_elements(p for p in model.parameters() if p.requires_grad),
        bytes=bytes_in_memory(model.parameters()),
        base_bytes=bytes_in_memory(base),
        base_bytes_float32=_FLOAT32_BYTES * count_elements(base),
        dtype=dtype,
        quantization_bits=quantization_bits,
        form=form_of_weights(quantization_bits, dtype),
    )


def count_elements(parameters: Iterable[nn.Parameter]) -> int:
    """Return the number of parameters; a packed 4-bit weight counts as what it stands for."""
    return sum(
        parameter.numel() if (state := getattr(parameter, "quant_state", None)) is None else math.prod(state.shape)
        for parameter in parameters
    )


def bytes_in_memory(parameters: Iterable[nn.Parameter]) -> int:
    """Return what parameters take, with the scales and tables of quantised ones; shared tensors count once."""
    sizes: dict[int, int] = {}
    scales = 0
    for parameter in parameters:
        tensors = (parameter.data, *_tables(getattr(parameter, "quant_state", None)))
        sizes |= {tensor.data_ptr(): tensor.nbytes for tensor in tensors}
        if parameter.dtype == torch.int8:
            scales += _FLOAT32_BYTES * parameter.shape[0]  # one a row; in use they move from the weight to its layer
    return sum(sizes.values()) + scales


def _tables(state: Any) -> Iterator[Tensor]:
    """Yield the scales and code books of a 4-bit weight, and those of its scales."""
    for name in ("absmax", "code", "offset"):
        if isinstance(getattr(state, name, None), Tensor):
            yield getattr(state, name)
    if getattr(state, "state2", None) is not None:
        yield from _tables(state.state2)


def _megabytes(size: int) -> str:
    return (
        f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
    )
