"""A correction of how bitsandbytes unpacks 4-bit weights on processors.

Its kernel for AVX-512 (0.50.2) takes the scales of wrong blocks where rows have a whole number of 32 values, but no whole
number of blocks, such as 160 values of blocks of 64: the weights are off by more than twice what quantisation does to them,
in training and evaluation alike, so that an adapter learns to make up for it and does not fit the base model
(docs/decisions/0021). The blocks of a weight run through all its rows. Unpacked as rows of one block each they are right.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

_OPERATION = "bitsandbytes::dequantize_4bit"


@functools.cache
def correct_unpacking() -> torch.library.Library:
    """Put the correction in place of the kernel for processors, once for the process.

    Returns:
        What holds the correction; it goes with it.
    """
    import bitsandbytes.functional  # noqa: F401  # heavy, and only for few bits: it registers the operation

    kernel = torch.library.get_kernel(_OPERATION, "CPU")

    def unpack(
        keys: torch._C.DispatchKeySet,
        packed: Tensor,
        scales: Tensor,
        block: int,
        form: str,
        shape: Sequence[int],
        dtype: torch.dtype,
    ) -> Tensor:
        values = prod(shape)
        if shape[-1] % block == 0:
            as_rows = tuple(shape)
        else:
            as_rows = (values // block, block) if values % block == 0 else (1, values)
        unpacked: Tensor = kernel.call_boxed(keys, packed, scales, block, form, as_rows, dtype)
        return unpacked.reshape(shape)

    library = torch.library.Library("bitsandbytes", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*previously registered kernel")
        library.impl("dequantize_4bit", unpack, "CPU", with_keyset=True, allow_override=True)
    return library
