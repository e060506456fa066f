"""What a model folder holds, read from ``config.json`` and the headers of its safetensors files.

No weight is loaded and no framework imported, so the door can ask too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from afinador.errors import UnsupportedModelError
from afinador.models.licenses import find_license, is_terms
from afinador.models.tensor_headers import StoredTensor, read_header
from afinador.storage import sha256_of

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
"""Weights in these forms may run code when they are read; none is ever opened."""

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_TEXT_SUFFIXES = (".json", ".model", ".txt", ".jinja", ".md")
TOKENIZER_FILES = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
)
"""Files of which a folder with a tokenizer holds at least one of these sets."""
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class ModelDescription:
    """What configuration and headers say.

    Attributes:
        parameters: Elements of all stored tensors; tied weights are stored, and counted, once.
        bytes: Size of the weight files.
        license: See ``afinador.models.licenses``.
        dtype: Of most parameters, torch's name, for example ``bfloat16``.
    """

    architecture: str
    model_type: str
    parameters: int
    bytes: int
    license: str | None
    dtype: str


@dataclass(frozen=True)
class ModelFolder(ModelDescription):
    """A description with the identity of the bytes.

    Attributes:
        sha256: Hash over names and hashes of ``files``.
        files: ``{name: {"bytes", "sha256"}}`` of all files that loading may read, and of model card and license.
    """

    sha256: str
    files: dict[str, dict[str, Any]]


def inspect_model_folder(path: Path) -> ModelFolder:
    """Describe a folder and hash its files, which takes about a second a gigabyte.

    Raises:
        UnsupportedModelError: See ``describe_model_folder``.
    """
    description = describe_model_folder(path)
    files = {
        file.relative_to(path).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
        for file in model_files(path)
    }
    return ModelFolder(**asdict(description), sha256=hash_of_files(files), files=files)


def describe_model_folder(path: Path) -> ModelDescription:
    """Describe a model folder from its configuration and headers, in milliseconds.

    Raises:
        UnsupportedModelError: The folder, its ``config.json``, tokenizer or safetensors weights are missing or damaged;
            it holds pickled weights only, an adapter, quantised weights, or asks for code of its own.
    """
    if not path.is_dir():
        raise UnsupportedModelError(f"There is no folder {path}; give the folder that holds config.json.")
    config = _read_config(path)
    _refuse_adapters_and_foreign_code(path, config)
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named else None
    if not isinstance(architecture, str):
        raise UnsupportedModelError(
            f"config.json in {path} names no architecture; save the model again with save_pretrained of transformers."
        )
    weights = weight_files(path)
    if not any(all((path / name).is_file() for name in names) for names in TOKENIZER_FILES):
        raise UnsupportedModelError(
            f"{path} holds no tokenizer; one of {', '.join(' + '.join(names) for names in TOKENIZER_FILES)} must lie "
            "beside config.json."
        )
    tensors: dict[str, StoredTensor] = {}
    for file in weights:
        tensors.update(_read_header(file))
    by_dtype: Counter[str] = Counter()
    for tensor in tensors.values():
        by_dtype[tensor.dtype] += tensor.elements
    if not by_dtype:
        raise UnsupportedModelError(f"The weights in {path} hold no tensors; copy or download the model again.")
    most_common = by_dtype.most_common(1)[0][0]
    return ModelDescription(
        architecture=architecture,
        model_type=str(config.get("model_type", "")),
        parameters=by_dtype.total(),
        bytes=sum(file.stat().st_size for file in weights),
        license=find_license(path),
        dtype=_DTYPES.get(most_common, most_common.lower()),
    )


def weight_files(path: Path) -> list[Path]:
    """Return the safetensors files that loading reads: the single one, or the shards of the index.

    Raises:
        UnsupportedModelError: There are none, a shard is missing, or all weights are pickled.
    """
    if (path / _WEIGHTS).is_file():
        return [path / _WEIGHTS]
    if (path / _INDEX).is_file():
        return _shards(path)
    pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLE_SUFFIXES)
    if pickled:
        raise UnsupportedModelError(
            f"{path} holds its weights as {pickled[0]}, a form that can run code when it is read; only safetensors are "
            "accepted. Convert it where you trust it: save_pretrained of transformers writes safetensors."
        )
    raise UnsupportedModelError(f"{path} holds no {_WEIGHTS} and no {_INDEX}; only safetensors weights are read.")


def weight_map(path: Path) -> dict[str, Path]:
    """Return in which file of a model folder each of its tensors lies.

    Raises:
        UnsupportedModelError: See ``weight_files``.
    """
    return {name: file for file in weight_files(path) for name in _read_header(file)}


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a model folder.

    Raises:
        UnsupportedModelError: See ``weight_files``.
    """
    return {name: tensor.shape for file in weight_files(path) for name, tensor in _read_header(file).items()}


def model_files(path: Path) -> list[Path]:
    """Return, sorted, the files of a model folder that count: weights, configuration, tokenizer, card and license.

    Pickled weights, other frameworks' copies of the weights and hidden files are left out.
    """
    texts = [
        file
        for pattern in ("*", "additional_chat_templates/*.jinja")
        for file in path.glob(pattern)
        if file.is_file() and _is_text(file.name)
    ]
    return sorted({*weight_files(path), *texts})


def is_model_file(path: str) -> bool:
    """Tell by its name alone whether a file may belong to a model; ``model_files`` says which ones do.

    Args:
        path: Relative to the model's folder, with forward slashes.
    """
    folder, _, name = path.rpartition("/")
    if folder:
        return folder == "additional_chat_templates" and name.endswith(".jinja")
    return name.endswith(".safetensors") or _is_text(name)


def _is_text(name: str) -> bool:
    return name[0] != "." and (name.endswith(_TEXT_SUFFIXES) or is_terms(name))


def hash_of_files(files: dict[str, dict[str, Any]]) -> str:
    """Return the hex SHA-256 over the sorted names and hashes of files; sizes and order do not matter."""
    lines = "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UnsupportedModelError(f"{path.name} in {path.parent} cannot be read as JSON: {why}.") from error
    if not isinstance(document, dict):
        raise UnsupportedModelError(
            f"{path.name} in {path.parent} must hold an object; it holds {type(document).__name__}."
        )
    return document


def _read_config(path: Path) -> dict[str, Any]:
    if (path / "config.json").is_file():
        return _read_json(path / "config.json")
    if (path / "adapter_config.json").is_file():
        raise UnsupportedModelError(f"{path} holds an adapter; register its base model, or a merged model.")
    raise UnsupportedModelError(f"{path} holds no config.json; give a folder written by save_pretrained.")


def _refuse_adapters_and_foreign_code(path: Path, config: dict[str, Any]) -> None:
    if (path / "adapter_config.json").is_file():
        raise UnsupportedModelError(
            f"{path} holds an adapter beside a model, which loading would apply unasked; remove adapter_config.json."
        )
    if config.get("quantization_config"):
        raise UnsupportedModelError(f"{path} holds quantised weights; register the model that they were made from.")
    tokenizer_config = path / "tokenizer_config.json"
    for name, document in (
        ("config.json", config),
        (tokenizer_config.name, _read_json(tokenizer_config) if tokenizer_config.is_file() else {}),
    ):
        if document.get("auto_map"):
            raise UnsupportedModelError(
                f"{name} in {path} asks for code of its own (auto_map), which is never run. If transformers knows this "
                "architecture, remove auto_map; otherwise choose another model."
            )


def _shards(path: Path) -> list[Path]:
    weight_map = _read_json(path / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnsupportedModelError(f"{_INDEX} in {path} has no weight_map; copy or download the model again.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UnsupportedModelError(f"{_INDEX} in {path} names {name!r}; shards are *.safetensors beside it.")
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise UnsupportedModelError(
            f"{len(missing)} of {len(names)} weight files are missing from {path}, the first is {missing[0]}; "
            "copy or download the model again."
        )
    return [path / name for name in names]


def _read_header(path: Path) -> dict[str, StoredTensor]:
    with path.open("rb") as stream:
        return read_header(stream, path.stat().st_size, f"{path.name} in {path.parent}")
