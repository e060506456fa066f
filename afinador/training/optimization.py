"""The optimizer and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from afinador.config.hyperparameters import Hyperparameters


def build_optimizer(parameters: list[nn.Parameter], hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Return AdamW over the trained parameters; biases and norms, the vectors among them, do not decay."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": hyperparameters.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=hyperparameters.learning_rate, fused=True
    )


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
