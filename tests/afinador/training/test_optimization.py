"""The optimizer and its learning rate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import get_scheduler

from afinador.config.spec import FineTuningSpec
from afinador.training import optimization

MakeSpec = Callable[..., FineTuningSpec]


@pytest.mark.parametrize(("ours", "theirs"), [("linear", "linear"), ("cosine", "cosine")])
@pytest.mark.parametrize("warmup_steps", [0, 3])
def test_schedule_is_that_of_transformers(ours: str, theirs: str, warmup_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_scheduler(theirs, optimizer, num_warmup_steps=warmup_steps, num_training_steps=12)
    for done in range(12):
        share = optimization.learning_rate_share(ours, done, warmup_steps, 12)
        assert share == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_constant_schedule_stays_after_its_warm_up() -> None:
    assert [optimization.learning_rate_share("constant", done, 2, 9) for done in range(4)] == [0.0, 0.5, 1.0, 1.0]


def test_warm_up_ratio_is_a_share_of_all_steps(make_spec: MakeSpec) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    settings = make_spec("lora", warmup_ratio=0.25).hyperparameters
    schedule = optimization.build_schedule(optimization.build_optimizer([parameter], settings), settings, 8)
    rates = []
    for _ in range(3):
        rates.append(schedule.get_last_lr()[0] / settings.learning_rate)
        schedule.optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.0, 0.5, 1.0])


def test_biases_and_norms_do_not_decay(make_spec: MakeSpec) -> None:
    layer = torch.nn.Linear(3, 2)
    settings = make_spec("lora", weight_decay=0.3).hyperparameters
    groups = optimization.build_optimizer(list(layer.parameters()), settings).param_groups
    assert [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in groups] == [(0.3, [2]), (0.0, [1])]


@pytest.mark.parametrize(
    ("kind", "class_name"),
    [("adamw", "AdamW"), ("adamw_8bit", "AdamW8bit"), ("adafactor", "Adafactor"), ("sgd", "SGD")],
)
def test_every_optimizer_learns(kind: str, class_name: str, make_spec: MakeSpec) -> None:
    settings = make_spec("lora", optimizer=kind, weight_decay=0.1).hyperparameters
    torch.manual_seed(0)
    layer = torch.nn.Linear(96, 96)  # 8 bits are for 4096 values and more
    optimizer = optimization.build_optimizer(list(layer.parameters()), settings)
    assert type(optimizer).__name__ == class_name
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    inputs = torch.randn(32, 96)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = layer(inputs).square().sum(-1).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    kept = sum(
        value.numel() * value.element_size()
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.numel() > 256
    )
    assert kept <= 1.1 * optimization.STATE_BYTES[kind] * layer.weight.numel() + 100


def test_learning_rate_is_the_optimizer_s(make_spec: MakeSpec) -> None:
    settings = make_spec("lora", learning_rate=2e-4, lr_scheduler="cosine", warmup_steps=2).hyperparameters
    optimizer = optimization.build_optimizer([torch.nn.Parameter(torch.zeros(2, 2))], settings)
    schedule = optimization.build_schedule(optimizer, settings, 6)
    rates = []
    for _ in range(5):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.0, 1e-4, 2e-4, 2e-4 * 0.853553, 1e-4])
