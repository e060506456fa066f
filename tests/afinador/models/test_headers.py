"""What is read from a model folder without loading a weight."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import UnsupportedModelError
from afinador.models.headers import (
    describe_model_folder,
    inspect_model_folder,
    model_files,
)
from afinador.models.licenses import LARGEST_FRONT_MATTER_BYTES

SHARED_MODELS = Path(__file__).parents[4] / "shared" / "data" / "models"


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], int]]) -> None:
    """Write a file of zeros; each tensor is (dtype, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of 2 x 3 + 4 = 10 parameters."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    (path / "tokenizer.json").write_text("{}")
    write_safetensors(path / "model.safetensors", {"a": ("BF16", [2, 3], 12), "b": ("F32", [4], 16)})
    return path


def shard(path: Path) -> None:
    write_safetensors(path / "model-00001-of-00002.safetensors", {"a": ("F32", [2, 3], 24)})
    write_safetensors(path / "model-00002-of-00002.safetensors", {"b": ("F32", [5], 20)})
    (path / "model.safetensors").unlink(missing_ok=True)
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_parameters_are_the_elements_of_the_headers(folder: Path) -> None:
    described = describe_model_folder(folder)
    assert (described.parameters, described.architecture, described.model_type) == (10, "LlamaForCausalLM", "llama")
    assert described.dtype == "bfloat16"
    assert described.bytes == (folder / "model.safetensors").stat().st_size


def test_a_scalar_is_one_parameter(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", {"scale": ("F32", [], 4)})
    assert describe_model_folder(folder).parameters == 1


def test_shards_of_the_index_are_added_up_and_other_copies_are_not(folder: Path) -> None:
    shard(folder)
    write_safetensors(folder / "consolidated.safetensors", {"copy": ("F32", [11], 44)})
    assert describe_model_folder(folder).parameters == 11
    assert "consolidated.safetensors" not in inspect_model_folder(folder).files


def test_a_huge_model_is_counted_from_headers_alone(folder: Path) -> None:
    sizes = {"a": ("BF16", [1 << 17, 1 << 17], 2 << 34)}
    header = {name: {"dtype": d, "shape": s, "data_offsets": [0, n]} for name, (d, s, n) in sizes.items()}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + (2 << 34))  # sparse: no disk is used
    assert describe_model_folder(folder).parameters == 1 << 34


def test_the_hash_follows_the_bytes_and_the_names_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    before = inspect_model_folder(folder).sha256
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    (moved / "registered_model_meta").write_text("model_name: qa")
    (moved / ".cache").mkdir()
    assert inspect_model_folder(moved).sha256 == before
    (moved / "tokenizer.json").write_text("{ }")
    assert inspect_model_folder(moved).sha256 != before


def test_pickled_copies_beside_safetensors_are_never_listed(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    assert {file.name for file in model_files(folder)} == {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("name", "text", "license_name"),
    [
        ("LICENSE", "\n                  Apache License\n            Version 2.0, January 2004\n", "apache-2.0"),
        ("LICENSE.md", "MIT License\n\nCopyright (c) 2026", "mit"),
        ("LICENSE", "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n", "llama3.1"),
        ("LICENSE.txt", "House rules: be kind.", "other"),
    ],
)
def test_without_a_card_the_license_is_what_its_text_begins_like(
    folder: Path, name: str, text: str, license_name: str
) -> None:
    (folder / name).write_text(text)
    assert describe_model_folder(folder).license == license_name
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"license": "gemma"}))
    assert describe_model_folder(folder).license == "gemma", "what somebody wrote down comes before a guess"


@pytest.mark.parametrize(
    ("card", "license_name"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: house-license\n---\n", "house-license"),
        ("# A model\n---\nlicense: mit\n---\n", None),
        ("---\nlicense: [unclosed\n---\n", None),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: {a: b}\n---\n", None),
        ("---\ntitle: a --- b\nlicense: mit\n---\n", "mit"),
        ("---\ndate: 2024-13-45\nlicense: 'mit'  # so\n---\n", "mit"),
        ("---\nwhat: !our thing\nlicense: other\nlicense_name: house-license\n---\n", "house-license"),
        ("---\nno end", None),
        (f"---\nlicense: mit\nmodel-index: {'[' * 300_000}\n---\n", "mit"),  # a reader of YAML alone would take hours
        (f"---\nlicense: mit\n#{' ' * LARGEST_FRONT_MATTER_BYTES}\n---\n", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_license_is_what_the_card_says(folder: Path, card: str, license_name: str | None) -> None:
    (folder / "README.md").write_text(card)
    assert describe_model_folder(folder).license == license_name


def _truncate(path: Path) -> None:
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[:-3])


def _only_pickle(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def _without_a_shard(path: Path) -> None:
    shard(path)
    (path / "model-00002-of-00002.safetensors").unlink()


def _shard_elsewhere(path: Path) -> None:
    (path / "model.safetensors").unlink()
    (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../secret.safetensors"}}')


def _config(**values: object) -> Change:
    document = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **values}
    return lambda path: (path / "config.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: shutil.rmtree(path), "no folder"),
        (lambda path: (path / "config.json").unlink(), "no config.json"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda path: (path / "config.json").write_text("[]"), "must hold an object"),
        (lambda path: (path / "config.json").rename(path / "adapter_config.json"), "holds an adapter"),
        (lambda path: (path / "adapter_config.json").write_text("{}"), "adapter beside a model"),
        (lambda path: (path / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda path: (path / "model.safetensors").unlink(), "only safetensors"),
        (lambda path: (path / "tokenizer_config.json").write_text('{"auto_map": {"A": "b.C"}}'), "code of its own"),
        (_only_pickle, "pytorch_model.bin"),
        (_truncate, "damaged or incomplete"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\xff" * 40), "longer than the file"),
        (lambda path: (path / "model.safetensors").write_bytes((4).to_bytes(8, "little") + b"oops"), "no safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(b""), "damaged or incomplete"),
        (lambda path: write_safetensors(path / "model.safetensors", {}), "no tensors"),
        (_without_a_shard, "1 of 2 weight files"),
        (_shard_elsewhere, "'../secret.safetensors'"),
        (_config(auto_map={"AutoModel": "code.Model"}), "code of its own"),
        (_config(quantization_config={"quant_method": "gptq"}), "quantised"),
        (_config(architectures=None), "names no architecture"),
    ],
)
def test_folders_that_cannot_be_trained_are_refused_by_name(folder: Path, change: Change, said: str) -> None:
    change(folder)
    with pytest.raises(UnsupportedModelError) as caught:
        inspect_model_folder(folder)
    assert said in caught.value.message


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "parameters"), [("stories260k", 260_032), ("babyllama-char105", 936_448), ("ar2en-t5-tiny", 452_096)]
)
def test_real_models_count_their_documented_parameters(name: str, parameters: int) -> None:
    if not SHARED_MODELS.is_dir():
        pytest.skip(f"{SHARED_MODELS} is absent")
    assert describe_model_folder(SHARED_MODELS / name).parameters == parameters
