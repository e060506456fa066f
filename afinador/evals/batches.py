"""Batches for measuring: by length, as many examples as a number of tokens allows."""

from __future__ import annotations


def batches_by_tokens(lengths: list[int], tokens_per_pass: int) -> list[list[int]]:
    """Group indices, longest first, so that padded batches hold at most ``tokens_per_pass`` tokens.

    An example that is longer than that makes a batch of its own.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= tokens_per_pass:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
