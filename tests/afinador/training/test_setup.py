"""What is decided before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.tokens.tokenisation import NOT_TRAINED
from afinador.errors import InvalidRequestError
from afinador.training import data_sets, setup

MakeSpec = Callable[..., FineTuningSpec]


@pytest.mark.parametrize(("longest", "expected"), [(100, 32), (127, 32), (128, 32), (129, 16), (3000, 1), (9000, 1)])
def test_micro_batch_on_a_cpu_holds_4096_tokens_in_powers_of_two(
    make_spec: MakeSpec, longest: int, expected: int
) -> None:
    spec = make_spec("lora", batch_size=32)
    subject = setup.load_subject(spec)
    passes = setup.choose_micro_batches(subject, spec.hyperparameters, longest)
    assert (passes.examples, passes.tokens) == (expected, expected * longest)


def test_micro_batch_halves_with_the_free_memory(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec("lora", batch_size=256)
    subject = setup.load_subject(spec)
    sizes = []
    for available in (64e6, 32e6, 16e6, 1e6):
        monkeypatch.setattr(
            setup.psutil, "virtual_memory", lambda available=available: SimpleNamespace(available=available)
        )
        sizes.append(setup.choose_micro_batches(subject, spec.hyperparameters, 100).examples)
    assert sizes[0] == 2 * sizes[1] == 4 * sizes[2]
    assert sizes[3] == 1


def test_micro_batch_size_that_is_given_is_taken(make_spec: MakeSpec) -> None:
    for given, expected in ((3, 3), (8, 8)):
        spec = make_spec("lora", micro_batch_size=given)
        passes = setup.choose_micro_batches(setup.load_subject(spec), spec.hyperparameters, 9000)
        assert passes.examples == expected


def test_precision_is_float32_on_a_cpu_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert setup.find_computing("auto") == setup.Computing(torch.device("cpu"), "float32")
    assert setup.find_computing("bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("has_bfloat16", "asked", "computed"),
    [
        (True, "auto", "bfloat16"),
        (True, "bfloat16", "bfloat16"),
        (True, "float32", "float32"),
        (False, "auto", "float32"),
        (False, "float32", "float32"),
    ],
)
def test_precision_is_bfloat16_on_a_gpu_that_has_it(
    has_bfloat16: bool, asked: str, computed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpu(monkeypatch, has_bfloat16)
    assert setup.find_computing(asked) == setup.Computing(torch.device("cuda", 0), computed)


def test_bfloat16_is_refused_on_a_gpu_that_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, has_bfloat16=False)
    with pytest.raises(
        InvalidRequestError, match="'bfloat16', which Tesla T4 does not have; use 'auto' or 'float32'"
    ) as refused:
        setup.find_computing("bfloat16")
    assert refused.value.param == "hyperparameters.precision"


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    # A GPU without it emulates it, which is slower than float32.
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16 or including_emulation
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")


def test_same_seed_makes_the_same_adapter(make_spec: MakeSpec) -> None:
    first, second = (setup.load_subject(make_spec("lora")) for _ in range(2))
    for left, right in zip(first.trained_parameters, second.trained_parameters, strict=True):
        assert torch.equal(left, right)


def test_another_seed_draws_another_adapter_and_another_order(make_spec: MakeSpec) -> None:
    adapters, orders = [], []
    for seed in (5, 6):
        spec = make_spec("lora").model_copy(update={"seed": seed})
        subject = setup.load_subject(spec)
        data = data_sets.load_data(spec.training_file, subject.tokenizer, 128)
        adapters.append(torch.cat([parameter.flatten() for parameter in subject.trained_parameters]))
        orders.append(list(data_sets.order_batches(data, spec).after(0)))
    assert not torch.equal(*adapters)
    assert orders[0] != orders[1]


def test_long_examples_are_cut_to_the_context_of_the_model(make_spec: MakeSpec) -> None:
    spec = make_spec("lora")
    subject = setup.load_subject(spec)
    assert setup.usable_length(2048, subject.model) == 128
    data = data_sets.load_data(spec.training_file, subject.tokenizer, 40)
    assert max(data.lengths) == 40
    assert data.cuts.records == sum(example.cut_tokens > 0 for example in data.tokenised) > 0


def test_long_text_is_cut_into_pieces_and_none_is_called_cut(make_spec: MakeSpec, tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("What says the frog? It croaks, and then it sleeps. " * 200)
    subject = setup.load_subject(make_spec("lora"))
    data = data_sets.load_data(
        DataFile(name=text.name, path=str(text), format="text", sha256="0" * 64, bytes=text.stat().st_size),
        subject.tokenizer,
        64,
    )
    learnt = [label for piece in data.tokenised for label in piece.labels if label != NOT_TRAINED]
    assert subject.tokenizer.decode(learnt, skip_special_tokens=True) in text.read_text()
    assert len(subject.tokenizer.decode(learnt)) > text.stat().st_size - 10
    assert (data.summary.examples, data.cuts.records, max(data.lengths)) == (1, 0, 64)
