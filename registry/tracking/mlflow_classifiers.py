"""Adapters of classifiers for MLflow, which has no option to load a base with the classes of its adapter.

The folder ``base`` of a published adapter holds a configuration that knows the classes. Beside it come, for MLflow on
this machine alone, an index that says where the base model's weights lie, and the layers that the adapter holds whole:
they stand in for those of a base that lacks them, or has them in another shape, as a classifier of other classes does.
"""

from __future__ import annotations

import json
from pathlib import Path

from afinador.models.headers import weight_map

_INDEX = "base/model.safetensors.index.json"
_WHOLE_LAYERS = "base/head.safetensors"
FOR_MLFLOW_ALONE = (_INDEX, _WHOLE_LAYERS)
"""Files of a published folder that lie in the storage and are shown to nobody: they say where things lie here."""

_PREFIX = "base_model.model."  # before the names of all weights in PEFT's files
_LENGTH_BYTES = 8


def write_base_for_mlflow(folder: Path, base_path: str) -> None:
    """Complete ``base`` in an adapter's folder; doing it again replaces what was written.

    Args:
        folder: A PEFT directory of a classifier.
        base_path: Folder of the base model.
    """
    whole = _copy_whole_layers(folder / "adapter_model.safetensors", folder / _WHOLE_LAYERS)
    files = {name: str(file.absolute()) for name, file in weight_map(Path(base_path)).items()}
    # transformers reads files by the order of their names; what comes later, such as this one after "/…", holds.
    files |= dict.fromkeys(whole, Path(_WHOLE_LAYERS).name)
    (folder / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}, indent=1), encoding="utf-8")


def _copy_whole_layers(adapter: Path, target: Path) -> list[str]:
    """Write those weights of an adapter that are no adapter's into a file, under the base's names, and return these."""
    content = adapter.read_bytes()
    begin = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    entries = json.loads(content[_LENGTH_BYTES:begin])
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, entry in entries.items():
        if name == "__metadata__" or "lora_" in name:
            continue
        first, last = entry["data_offsets"]
        offsets = [len(data), len(data) + last - first]
        header[name.removeprefix(_PREFIX)] = entry | {"data_offsets": offsets}
        data += content[begin + first : begin + last]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    target.write_bytes(len(text).to_bytes(_LENGTH_BYTES, "little") + text + data)
    return [name for name in header if name != "__metadata__"]
