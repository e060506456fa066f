"""What a job asks of its base model's layers and attention, and what that asks of the pool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from afinador.errors import InvalidRequestError
from registry.ledger.tables import Organization
from tests.afinador.models.test_headers import write_safetensors

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


LAYERS = {
    "model.layers.0.self_attn.q_proj.weight": ("F32", [2, 3], 24),
    "model.layers.1.mlp.up_proj.weight": ("F32", [2, 3], 24),
    "model.norm.weight": ("F32", [4], 16),
}


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"target_modules": ["q_prj"]}, "target_modules", "Did you mean 'q_proj'"),
        ({"target_modules": "v_proj"}, "target_modules", "Its layers are: .*norm"),
        ({"modules_to_save": ["norm", "nrom"]}, "modules_to_save", "'nrom', which 'real' does not have"),
        ({"target_modules": ["q_proj", "norm"]}, "target_modules", "'norm', which is no linear .* They are: q_proj"),
        ({"target_modules": ["self_attn"]}, "target_modules", "'self_attn', which is no linear .* They are: q_proj"),
    ],
)
def test_layers_that_the_base_model_does_not_have_or_that_carry_no_adapter_are_refused(
    given: dict[str, Any], param: str, said: str, ready: Workshop, acme: Organization
) -> None:
    write_safetensors(ready.folder / "model.safetensors", LAYERS)
    ready.base_model(acme, "real", path=str(ready.folder))
    with pytest.raises(InvalidRequestError, match=said) as caught:
        ready.job(acme, model="real", hyperparameters=given)
    assert caught.value.param == f"hyperparameters.{param}"
    there = {
        "target_modules": ["q_proj", "transformer.model.layers.0.self_attn.q_proj"],
        "modules_to_save": ["lm_head"],
    }
    assert ready.job(acme, model="real", hyperparameters=there).status == "queued"
    assert ready.job(acme, hyperparameters=given).status == "queued", (
        "its files cannot be read here, so the run tells it"
    )


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["q_proj", "self_attn", "layers.0"])
def test_layers_that_are_quantised_are_not_trained_whole(
    bits: int, name: str, ready: Workshop, acme: Organization
) -> None:
    write_safetensors(ready.folder / "model.safetensors", LAYERS)
    ready.base_model(acme, "real", path=str(ready.folder))
    quantised = {"tuning_method": "qlora", "model": "real"}
    given = {"quantization_bits": bits, "modules_to_save": [name]}
    with pytest.raises(InvalidRequestError, match=f"'{name}', which is held in {bits} bits .* 'lora'") as caught:
        ready.job(acme, **quantised, hyperparameters=given)
    assert caught.value.param == "hyperparameters.modules_to_save"
    saved = {"quantization_bits": bits, "modules_to_save": ["norm", "lm_head"]}
    assert ready.job(acme, **quantised, hyperparameters=saved).status == "queued"
    assert ready.job(acme, model="real", hyperparameters={"modules_to_save": [name]}).status == "queued"


FLASH = {"attention": "flash_attention_2"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"pool": "cpu"}, "needs a GPU; pool is 'cpu'. Use attention 'auto', 'sdpa' or 'eager', or pool 'gpu'"),
        ({"tuning_method": "full", "pool": "gpu"}, "needs weights in bfloat16; tuning_method 'full' holds"),
        ({"config": {**FLASH, "precision": "float32"}}, "needs weights in bfloat16; precision is 'float32'"),
    ],
)
def test_an_attention_that_no_machine_of_the_pool_has_is_refused(
    body: dict[str, Any], said: str, ready: Workshop, acme: Organization
) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(said)) as caught:
        ready.job(acme, **{"config": FLASH, **body}, training_file="not-there-yet")
    assert caught.value.param == "hyperparameters.attention"


def test_an_attention_that_needs_a_gpu_chooses_the_pool(ready: Workshop, acme: Organization) -> None:
    assert ready.job(acme, config=FLASH).pool == "gpu"
    assert ready.job(acme, config={"attention": "sdpa"}).pool is None
    assert ready.job(acme, config={"attention": "sdpa"}, pool="cpu").pool == "cpu"
