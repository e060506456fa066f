"""4-bit weights unpacked on a processor, held against unpacking them by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes import functional
from transformers import AutoModelForCausalLM

from afinador.models.quantisation import loading_arguments, settle_quantised
from afinador.models.unpacking import correct_unpacking

BLOCK = 64
SHAPES = [
    (160, 160),
    (64, 96),
    (32, 2080),
    (33, 96),
    (5, 32),
    (3, 224),
    (1, 160),
    (160, 1),
    (3, 5),
    (64, 128),
    (33, 66),
]


def by_hand(packed: torch.Tensor, state: functional.QuantState) -> torch.Tensor:
    """Return each value of NF4 times the scale of its block; blocks run through all rows."""
    pairs = packed.reshape(-1)
    places = torch.stack([pairs >> 4, pairs & 15], dim=1).reshape(-1)[: state.shape.numel()]
    scales = state.absmax.repeat_interleave(BLOCK)[: len(places)]
    return (functional.get_4bit_type("nf4", device="cpu")[places.long()] * scales).reshape(state.shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_of_any_shape_are_what_was_packed(shape: tuple[int, int]) -> None:
    correct_unpacking()
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    packed, state = functional.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
    expected = by_hand(packed, state)
    assert torch.equal(functional.dequantize_4bit(packed, state).reshape(shape), expected)
    if shape[1] % 2 == 0:
        product = torch.ops.bitsandbytes.gemm_4bit.default(
            torch.eye(shape[1]), packed, state.shape, state.absmax, BLOCK, "nf4"
        )
        assert torch.allclose(product, expected.T)


def test_a_model_in_four_bits_is_nearly_the_one_it_was_made_of(root: Path) -> None:
    """Its layers have 160 values a row, two and a half blocks."""
    folder = root / "examples" / "base_model" / "model"
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    few = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, **loading_arguments(4, torch.float32, "cpu")
    )
    settle_quantised(few, "tiny")
    layer, packed = base.model.layers[0].mlp.gate_proj, few.model.layers[0].mlp.gate_proj
    assert layer.weight.shape[1] % BLOCK
    given = torch.randn(8, layer.weight.shape[1], generator=torch.Generator().manual_seed(3))
    wanted = layer(given)
    error = (packed(given) - wanted).pow(2).mean().sqrt() / wanted.pow(2).mean().sqrt()
    assert error < 0.15
