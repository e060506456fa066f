"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers.optimization import Adafactor

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import ConfigurationError

STATE_BYTES = {"adamw": 8, "adamw_8bit": 2, "adafactor": 0, "sgd": 4}
"""Bytes that each optimizer keeps for a trained parameter: moments in float32 or in 8 bits. Adafactor keeps sums over
rows and columns, which are next to nothing."""

SGD_MOMENTUM = 0.9


def build_optimizer(parameters: list[nn.Parameter], hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Return the optimizer over the trained parameters; biases and norms, the vectors among them, do not decay.

    Adafactor runs with the given learning rate, not with one of its own making (``relative_step``), so that schedules
    and ranges mean the same for all.

    Raises:
        ConfigurationError: ``adamw_8bit`` without the package bitsandbytes.
    """
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": hyperparameters.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups, learning_rate = [group for group in groups if group["params"]], hyperparameters.learning_rate
    match hyperparameters.optimizer:
        case "adamw_8bit":
            return _adamw_8bit(groups, learning_rate)
        case "adafactor":
            return Adafactor(groups, lr=learning_rate, scale_parameter=False, relative_step=False)
        case "sgd":
            return torch.optim.SGD(groups, lr=learning_rate, momentum=SGD_MOMENTUM)
        case _:
            return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def _adamw_8bit(groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
    """Import it late: it takes seconds, which only those who ask for it should wait."""
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ConfigurationError(
            "optimizer is 'adamw_8bit', which needs the package bitsandbytes: pip install bitsandbytes on the machines "
            "that train, or choose adamw or adafactor."
        ) from error
    return AdamW8bit(groups, lr=learning_rate)


def build_schedule(
    optimizer: torch.optim.Optimizer, hyperparameters: Hyperparameters, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the schedule over ``steps`` optimizer steps; see ``learning_rate_share``."""
    warmup_steps = hyperparameters.warmup_steps or math.ceil(hyperparameters.warmup_ratio * steps)
    kind = hyperparameters.lr_scheduler
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: learning_rate_share(kind, done, warmup_steps, steps)
    )


def learning_rate_share(kind: str, done: int, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak learning rate after ``done`` steps; the same as transformers' schedules.

    Args:
        kind: ``linear``, ``cosine`` or ``constant``: what comes after the warm-up.
        done: Optimizer steps done.
        warmup_steps: Steps in which the rate rises from 0 in a straight line.
        steps: All steps; the rate is 0 after them, unless it is constant.
    """
    if done < warmup_steps:
        return done / warmup_steps
    if kind == "constant":
        return 1.0
    way = (done - warmup_steps) / max(1, steps - warmup_steps)
    return max(0.0, 1.0 - way) if kind == "linear" else max(0.0, 0.5 * (1.0 + math.cos(math.pi * way)))
