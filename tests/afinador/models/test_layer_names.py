"""Which layers may be named for what, told by the headers of a model's files before a weight is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.resolve import parse_request, resolve_request
from afinador.errors import InvalidRequestError
from afinador.models.layer_names import require_layers_in_folder
from tests.afinador.models.test_headers import write_safetensors

LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    "llama": {
        "model.embed_tokens.weight": (6, 2),
        "model.layers.0.self_attn.q_proj.weight": (2, 2),
        "model.layers.0.mlp.up_proj.weight": (4, 2),
        "model.layers.0.input_layernorm.weight": (2,),
        "model.norm.weight": (2,),
    },
    "gpt2": {
        "wte.weight": (6, 2),
        "wpe.weight": (8, 2),
        "h.0.attn.c_attn.weight": (2, 6),
        "h.0.attn.c_attn.bias": (6,),
        "h.0.attn.bias": (1, 1, 8, 8),
        "h.0.ln_1.weight": (2,),
    },
    "bert": {
        "bert.embeddings.word_embeddings.weight": (6, 2),
        "bert.embeddings.LayerNorm.gamma": (2,),
        "bert.embeddings.position_ids": (1, 8),
        "bert.encoder.layer.0.attention.self.query.weight": (2, 2),
        "bert.pooler.dense.weight": (2, 2),
    },
}


def judged(
    folder: Path, layers: dict[str, tuple[int, ...]], method: str, *, is_classifier: bool = False, **given: Any
) -> None:
    tensors = {name: ("F32", list(shape), 4 * math.prod(shape)) for name, shape in layers.items()}
    write_safetensors(folder / "model.safetensors", tensors)
    asked = {"model": "m", "training_file": "t", "tuning_method": method, "hyperparameters": given}
    hyperparameters: Hyperparameters = resolve_request(parse_request(asked))[1]
    require_layers_in_folder(hyperparameters, folder, "'m'", is_classifier=is_classifier)


@pytest.mark.parametrize(
    ("model", "saved", "targets"),
    [
        ("llama", "layers", None),
        ("llama", "model", None),
        ("gpt2", "h", None),
        ("bert", "bert", None),
        ("llama", "mlp", ["up_proj"]),
    ],
)
def test_not_all_that_would_carry_an_adapter_is_trained_whole(
    model: str, saved: str, targets: list[str] | None, tmp_path: Path
) -> None:
    given = {"modules_to_save": [saved]} | ({"target_modules": targets} if targets else {})
    with pytest.raises(
        InvalidRequestError, match=f"modules_to_save names '{saved}', in which all layers of 'm' lie"
    ) as caught:
        judged(tmp_path, LAYERS[model], "lora", **given)
    assert caught.value.param == "hyperparameters.modules_to_save"


def test_a_block_may_be_trained_whole_beside_adapters(tmp_path: Path) -> None:
    for names in (["mlp", "embed_tokens"], ["q_proj"], ["norm"]):
        judged(tmp_path, LAYERS["llama"], "lora", modules_to_save=names)
    judged(tmp_path, LAYERS["llama"], "lora", modules_to_save=["layers"], target_modules=["embed_tokens"])


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("llama", ["q_proj", "up_proj"]), ("llama", ["embed_tokens", "lm_head"]), ("llama", "all-linear"),
        ("llama", ["base.model.layers.0.self_attn.q_proj"]), ("gpt2", ["c_attn", "wte"]), ("bert", ["query", "dense"]),
    ],
)  # fmt: skip
def test_layers_with_rows_and_columns_carry_adapters(model: str, targets: Any, tmp_path: Path) -> None:
    judged(tmp_path, LAYERS[model], "lora", target_modules=targets)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("llama", "input_layernorm"), ("llama", "norm"), ("llama", "self_attn"), ("llama", "layers.0"), ("gpt2", "ln_1"),
        ("gpt2", "attn"), ("bert", "LayerNorm"), ("bert", "embeddings"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_norms_and_blocks_carry_no_adapters(model: str, target: str, method: str, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidRequestError, match=f"'{target}', which is no linear layer and no embedding of 'm'"
    ) as no:
        judged(tmp_path, LAYERS[model], method, target_modules=[target])
    assert no.value.param == "hyperparameters.target_modules"
    assert "Leave target_modules out for all linear layers." in no.value.message


@pytest.mark.parametrize(
    ("model", "name"), [("llama", "q_proj"), ("llama", "mlp"), ("llama", "model"), ("gpt2", "c_attn"), ("gpt2", "h")]
)
@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_quantised_is_not_trained_whole(model: str, name: str, bits: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=f"'{name}', which is held in {bits} bits .* tuning_method 'lora'"):
        judged(tmp_path, LAYERS[model], "qlora", modules_to_save=[name], quantization_bits=bits)


@pytest.mark.parametrize(
    ("model", "names"), [("llama", ["embed_tokens", "norm", "lm_head"]), ("gpt2", ["wte", "ln_1"])]
)
def test_what_stays_in_the_computing_precision_is_trained_whole(model: str, names: list[str], tmp_path: Path) -> None:
    judged(tmp_path, LAYERS[model], "qlora", modules_to_save=names, quantization_bits=4)


OF_WORDS = {name: shape for name, shape in LAYERS["bert"].items() if "pooler" not in name} | {
    "cls.predictions.transform.dense.weight": (2, 2)
}
"""A BERT as it tells words: without a pooler."""


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        (LAYERS["bert"], "classifier"), (LAYERS["llama"], "score"), (OF_WORDS, "pooler"), (OF_WORDS, "bert.pooler.dense"),
        (LAYERS["bert"] | {"classifier.weight": (3, 2)}, "classifier"),
    ],
)  # fmt: skip
def test_the_head_of_a_classifier_carries_no_adapter(
    layers: dict[str, tuple[int, ...]], name: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequestError, match=f"'{name}', which is the head of the classifier: .* Leave it out."):
        judged(tmp_path, layers, "lora", is_classifier=True, target_modules=["query", name])
    judged(
        tmp_path,
        layers,
        "lora",
        is_classifier=True,
        modules_to_save=[name.removeprefix("bert.").removesuffix(".dense")],
    )


@pytest.mark.parametrize("name", ["cls", "cls.predictions.transform.dense", "transform"])
def test_a_classifier_has_no_head_of_words(name: str, tmp_path: Path) -> None:
    for given in ({"target_modules": [name]}, {"modules_to_save": [name]}):
        with pytest.raises(InvalidRequestError, match=f"'{name}', which 'm' does not have") as refused:
            judged(tmp_path, OF_WORDS, "lora", is_classifier=True, **given)
        assert "predictions" not in refused.value.message.partition("Its layers are")[2]


def test_a_model_of_words_has_no_head_of_classes(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="'score', which 'm' does not have"):
        judged(tmp_path, LAYERS["llama"], "lora", modules_to_save=["score"])


def test_the_pooler_that_a_bert_has_carries_an_adapter(tmp_path: Path) -> None:
    judged(tmp_path, LAYERS["bert"], "lora", is_classifier=True, target_modules=["pooler.dense"])
