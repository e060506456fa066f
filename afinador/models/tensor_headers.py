"""The headers of safetensors files: which tensors they hold, read without any of them."""

from __future__ import annotations

import json
import math
from typing import BinaryIO, NamedTuple

from afinador.errors import UnsupportedModelError

_LENGTH_BYTES = 8
_HEADER_LIMIT_BYTES = 100_000_000  # the limit of the safetensors format itself


class StoredTensor(NamedTuple):
    """What a header says of a tensor; ``dtype`` is the format's own word."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(stream: BinaryIO, size: int, name: str) -> dict[str, StoredTensor]:
    """Return what the header of a file says of each of its tensors.

    Args:
        stream: The file, at its beginning.
        size: Its length in bytes, which is checked.
        name: What errors call it.

    Raises:
        UnsupportedModelError: It is damaged or no safetensors file.
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _HEADER_LIMIT_BYTES):
        raise _damaged(name, "its header is longer than the file")
    text = stream.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        tensors = {
            key: StoredTensor(str(entry["dtype"]), tuple(map(int, entry["shape"]))) for key, entry in header.items()
        }
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _damaged(name, "its header is no safetensors header") from error
    if _LENGTH_BYTES + length + end != size:
        raise _damaged(name, f"its header promises {_LENGTH_BYTES + length + end} bytes, it has {size}")
    return tensors


def _damaged(name: str, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{name} is damaged or incomplete: {why}. Copy or download the model again.")
